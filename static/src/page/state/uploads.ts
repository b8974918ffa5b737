/**
 * The files on their way in: a queue that sends a few at a time, goes on after a pause, a lost connection or a reload,
 * and makes a job of each file that has arrived.
 */
import { batch, signal } from "@preact/signals";
import { backoff } from "../../client/backoff.js";
import { ApiError, abortUpload, createJob } from "../api/api.ts";
import { rememberSize } from "../lib/sizes.ts";
import type { EngineEvents, Resume } from "../upload/engine.ts";
import { type Choice, fitting } from "../lib/choice.ts";
import { bytes } from "../lib/format.ts";
import * as store from "../upload/store.ts";
import { autoStart, defaultChoice } from "./choices.ts";
import { formatNamed, maxUploadSize } from "./formats.ts";
import { takeJobs } from "./jobs.ts";
import { complain, notify } from "./notices.ts";
import { find, inTransit, isTheSame, save, type Upload, update, uploads } from "./upload-items.ts";

interface Work {
  file: Blob | null;
  stop: (() => void) | null;
  timer: ReturnType<typeof setTimeout> | null;
  failures: number;
  release: () => void;
  mark: { at: number; bytes: number };
}

const AT_ONCE = 3;
const works = new Map<string, Work>();

const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

// --- coming in ------------------------------------------------------------------------------------------------------

export function addFiles(files: File[]): void {
  const left = files.filter((file) => !reattach(file));
  const fresh = left.filter((file) => !isKnown(file));
  if (fresh.length < left.length) notify("What is being uploaded already was not added again.");
  batch(() => fresh.forEach(add));
  next();
}

const isKnown = (file: File) =>
  uploads.peek().some((each) => inTransit.has(each.peek().state) && isTheSame(each.peek(), file));

/** A file chosen again goes on where its upload was when the page was left. */
function reattach(file: File): boolean {
  const upload = uploads.peek().find((each) => each.peek().state === "lost" && isTheSame(each.peek(), file))?.peek();
  if (!upload) return false;
  (works.get(upload.id) as Work).file = file;
  update(upload.id, { state: "queued" });
  return true;
}

function add(file: File): void {
  const id = newId();
  const limit = maxUploadSize.peek();
  const tooLarge = limit !== null && file.size > limit;
  const error = tooLarge
    ? `This file is larger than the ${bytes(limit)} that are accepted.`
    : file.size === 0 ? "This file is empty." : null;
  const { name, size, type, lastModified } = file;
  const upload: Upload = {
    id, name, size, type, lastModified, choice: defaultChoice.peek(), resume: null, key: null,
    state: error ? "failed" : "queued", sent: 0, rate: null, error, held: false,
  };
  works.set(id, blankWork(error ? null : file, () => {}));
  uploads.value = [...uploads.peek(), signal(upload)];
  if (error) return;
  void store.claim(id).then((release) => {
    const work = works.get(id);
    if (work && release) work.release = release;
  });
  save(id);
  void store.saveFile(id, file);
}

const blankWork = (file: Blob | null, release: () => void): Work => ({
  file, release, stop: null, timer: null, failures: 0, mark: { at: 0, bytes: 0 },
});

/** Takes up what was under way when the page was left, unless another tab has it. */
export async function restore(): Promise<void> {
  for (const { paused, storedAt: _, ...kept } of await store.loadUploads()) {
    if (find(kept.id)) continue;
    const release = await store.claim(kept.id);
    if (!release) continue;
    const file = (await store.loadFile(kept.id)) ?? null;
    works.set(kept.id, blankWork(file, release));
    const state = kept.key ? "sent" : !file ? "lost" : paused ? "paused" : "queued";
    const sent = kept.key ? kept.size : 0;
    uploads.value = [...uploads.peek(), signal({ ...kept, state, sent, rate: null, error: null, held: false })];
    if (kept.key && autoStart.peek()) void start(kept.id);
  }
  next();
}

// --- sending --------------------------------------------------------------------------------------------------------

function next(): void {
  const all = uploads.peek().map((upload) => upload.peek());
  const free = AT_ONCE - all.filter(({ state }) => state === "sending").length;
  for (const { id } of all.filter(({ state }) => state === "queued").slice(0, Math.max(0, free))) send(id);
}

function send(id: string): void {
  const upload = find(id)?.peek();
  const work = works.get(id);
  if (!upload || !work?.file) return;
  update(id, { state: "sending", error: null, rate: null });
  work.mark = { at: 0, bytes: 0 };
  work.stop = startWhenLoaded(work.file, upload.name, upload.resume, {
    progress: (sent) => progressed(id, work, sent),
    begun: (resume) => {
      update(id, { resume });
      save(id);
    },
    done: (key) => arrived(id, key),
    failed: (error) => failed(id, error),
  });
}

/** Uppy comes only when somebody uploads: the page shows sooner without it. */
function startWhenLoaded(file: Blob, name: string, resume: Resume | null, on: EngineEvents): () => void {
  let stop: (() => void) | null = null;
  let stopped = false;
  import("../upload/engine.ts").then(
    ({ startUpload }) => {
      if (!stopped) stop = startUpload(file, name, resume, on);
    },
    (error: Error) => on.failed(error),
  );
  return () => {
    stopped = true;
    stop?.();
  };
}

const SAMPLE = 500;

function progressed(id: string, work: Work, sent: number): void {
  const now = performance.now();
  const { at, bytes: before } = work.mark;
  let rate = find(id)?.peek().rate ?? null;
  if (at === 0 || sent < before) {
    work.mark = { at: now, bytes: sent };
  } else if (now - at > SAMPLE) {
    const sample = ((sent - before) / (now - at)) * 1000;
    rate = rate === null ? sample : rate * 0.6 + sample * 0.4;
    work.mark = { at: now, bytes: sent };
  }
  work.failures = 0;
  update(id, { sent, rate });
}

function arrived(id: string, key: string): void {
  const upload = find(id)?.peek();
  const work = works.get(id);
  if (!upload || !work) return;
  Object.assign(work, { file: null, stop: null, failures: 0 });
  update(id, { state: "sent", sent: upload.size, rate: null, key, resume: null });
  save(id);
  void store.removeFile(id);
  next();
  if (autoStart.peek() && !upload.held) void start(id);
}

function failed(id: string, error: Error): void {
  const work = works.get(id);
  if (!work) return;
  work.stop = null;
  const status = error instanceof ApiError ? error.status : ((error as { request?: XMLHttpRequest }).request?.status ?? 0);
  const permanent = status >= 400 && status < 500 && ![401, 404, 408, 429].includes(status);
  if (permanent) {
    update(id, { state: "failed", error: error.message || "The upload was not accepted.", rate: null });
  } else {
    // The store may have thrown an unfinished upload away; then it begins anew.
    if (status === 404) update(id, { resume: null, sent: 0 });
    wait(id, work, () => update(id, { state: "queued" }));
  }
  next();
}

function wait(id: string, work: Work, then: () => void): void {
  update(id, { state: "waiting", rate: null });
  work.timer = setTimeout(() => {
    work.timer = null;
    then();
    next();
  }, backoff(work.failures++, Math.random, { base: 1_000, cap: 20_000 }));
}

/** The connection is back: nobody waits any longer. */
export function hurry(): void {
  for (const upload of uploads.peek()) {
    const { id, state, key } = upload.peek();
    if (state !== "waiting") continue;
    halt(id);
    if (key) void start(id);
    else update(id, { state: "queued" });
  }
  next();
}

function halt(id: string): void {
  const work = works.get(id);
  if (!work) return;
  work.stop?.();
  if (work.timer !== null) clearTimeout(work.timer);
  work.stop = work.timer = null;
}

// --- what the user can do -------------------------------------------------------------------------------------------

export function pause(id: string): void {
  halt(id);
  update(id, { state: "paused", rate: null });
  save(id);
  next();
}

export function resume(id: string): void {
  update(id, { state: "queued" });
  save(id);
  next();
}

export function pauseAll(yes: boolean): void {
  for (const upload of uploads.peek()) {
    const { id, state } = upload.peek();
    if (yes && inTransit.has(state) && state !== "paused") pause(id);
    else if (!yes && state === "paused") resume(id);
  }
}

export function retry(id: string): void {
  const { key } = find(id)?.peek() ?? {};
  if (key) void start(id);
  else resume(id);
}

export function cancel(id: string): void {
  const upload = find(id)?.peek();
  halt(id);
  if (upload?.resume) void abortUpload(upload.resume.uploadId, upload.resume.key).catch(() => {}); // collected by age
  remove(id);
  next();
}

function remove(id: string): void {
  works.get(id)?.release();
  works.delete(id);
  uploads.value = uploads.peek().filter((upload) => upload.peek().id !== id);
  void store.removeUpload(id);
}

export function choose(id: string, choice: Choice): void {
  update(id, { choice });
  save(id);
}

export const hold = (id: string, held: boolean) => update(id, { held });

/** Makes a job of a file that has arrived. */
export async function start(id: string): Promise<void> {
  const upload = find(id)?.peek();
  const work = works.get(id);
  if (!upload?.key || !work || upload.state === "starting") return;
  update(id, { state: "starting", error: null });
  const { choice: { format, options }, key, name, size } = upload;
  const known = formatNamed(format);
  const wish = { input_path: key, output_format: format, options: known ? fitting(options, known) : options, filename: name };
  try {
    const job = await createJob(wish, `${id}-${fingerprint(JSON.stringify(wish))}`);
    rememberSize(key, size);
    batch(() => {
      takeJobs([job]);
      remove(id);
    });
  } catch (error) {
    if (error instanceof ApiError && error.passing) return wait(id, work, () => void start(id));
    const gone = error instanceof ApiError && (error.status === 404 || error.status === 413);
    update(id, { state: gone ? "failed" : "sent", error: (error as Error).message });
    if (!(error instanceof ApiError)) complain(error);
  }
}

export function startAll(): void {
  for (const upload of uploads.peek()) if (upload.peek().state === "sent") void start(upload.peek().id);
}

/** A short number for a text, so that changed options are not taken for the same request again. */
function fingerprint(text: string): string {
  let hash = 5381;
  for (let at = 0; at < text.length; at++) hash = (hash * 33 + text.charCodeAt(at)) >>> 0;
  return hash.toString(36);
}
