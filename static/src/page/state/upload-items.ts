/** The files on their way in, each a signal of its own, and what is kept of them across a reload. */
import { computed, signal, type Signal } from "@preact/signals";
import * as store from "../upload/store.ts";

/**
 * - `queued`: waits for its turn · `sending` · `paused` by the user
 * - `waiting`: for the connection, to go on by itself
 * - `lost`: the page was reloaded and the browser no longer has the file; it must be chosen again
 * - `sent`: all there; the user decides when it is converted · `starting`: the job is being made
 * - `failed`: it cannot go on, `error` says why
 */
export type UploadState = "queued" | "sending" | "paused" | "waiting" | "lost" | "sent" | "starting" | "failed";

export interface Upload extends Omit<store.StoredUpload, "paused" | "storedAt"> {
  state: UploadState;
  /** Bytes that have arrived. */
  sent: number;
  /** Bytes a second, lately. */
  rate: number | null;
  error: string | null;
  /** Its options are open: it does not start by itself. */
  held: boolean;
}

export const uploads = signal<Signal<Upload>[]>([]);

/** Not there yet, but under way or able to go on. */
export const inTransit: ReadonlySet<UploadState> = new Set(["queued", "sending", "waiting", "paused"]);

/** How far all of them are together; null if nothing is on its way. */
export const total = computed(() => {
  const all = uploads.value.map((upload) => upload.value).filter(({ state }) => inTransit.has(state));
  if (all.length === 0) return null;
  const sum = (pick: (upload: Upload) => number) => all.reduce((value, upload) => value + pick(upload), 0);
  const [size, sent, rate] = [sum((u) => u.size), sum((u) => u.sent), sum((u) => u.rate ?? 0)];
  return { count: all.length, size, sent, rate, paused: all.every(({ state }) => state === "paused") };
});

export const find = (id: string) => uploads.peek().find((upload) => upload.peek().id === id);

export function update(id: string, change: Partial<Upload>): void {
  const upload = find(id);
  if (upload) upload.value = { ...upload.peek(), ...change };
}

export function save(id: string): void {
  const upload = find(id)?.peek();
  if (!upload) return;
  const { state, sent: _s, rate: _r, error: _e, held: _h, ...kept } = upload;
  void store.saveUpload({ ...kept, paused: state === "paused", storedAt: Date.now() });
}

export function isTheSame(upload: Upload, file: File): boolean {
  return upload.name === file.name && upload.size === file.size && upload.lastModified === file.lastModified;
}
