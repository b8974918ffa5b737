/**
 * Unfinished uploads in IndexedDB, so that they survive a reload: what they are, how far they are known to be, and,
 * where the browser has room for it, the file itself.
 */
import type { Choice } from "../lib/choice.ts";
import type { Resume } from "./engine.ts";

export interface StoredUpload {
  id: string;
  name: string;
  size: number;
  type: string;
  lastModified: number;
  choice: Choice;
  paused: boolean;
  resume: Resume | null;
  /** The key of the finished upload, if only the job is still missing. */
  key: string | null;
  storedAt: number;
}

const UPLOADS = "uploads";
const FILES = "files";
const EXPIRY = 24 * 3600 * 1000;
const SHARE = 0.5;

let opened: Promise<IDBDatabase> | null = null;

function database(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("cvc", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(UPLOADS, { keyPath: "id" });
      request.result.createObjectStore(FILES);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function run<T>(
  stores: string[],
  mode: IDBTransactionMode,
  work: (transaction: IDBTransaction) => IDBRequest<T> | void,
): Promise<T | undefined> {
  const transaction = (await database()).transaction(stores, mode);
  return new Promise((resolve, reject) => {
    const request = work(transaction);
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

// A private window or a full disk must not stand in the way of an upload; it only will not survive a reload.
const bestEffort = (work: Promise<unknown>) => work.then(() => {}, () => {});

export const saveUpload = (upload: StoredUpload) =>
  bestEffort(run([UPLOADS], "readwrite", (t) => t.objectStore(UPLOADS).put(upload)));

/** Keeps a copy of the file, if that takes no more than its share of what the browser has left for us. */
export async function saveFile(id: string, file: Blob): Promise<void> {
  const room: StorageEstimate = (await navigator.storage?.estimate().catch(() => undefined)) ?? {};
  if (file.size > ((room.quota ?? 0) - (room.usage ?? 0)) * SHARE) return;
  await bestEffort(run([FILES], "readwrite", (t) => t.objectStore(FILES).put(file, id)));
}

export const removeFile = (id: string) =>
  bestEffort(run([FILES], "readwrite", (t) => t.objectStore(FILES).delete(id)));

export const removeUpload = (id: string) =>
  bestEffort(
    run([UPLOADS, FILES], "readwrite", (t) => {
      t.objectStore(UPLOADS).delete(id);
      t.objectStore(FILES).delete(id);
    }),
  );

export const loadFile = (id: string): Promise<Blob | undefined> =>
  run<Blob>([FILES], "readonly", (t) => t.objectStore(FILES).get(id)).catch(() => undefined);

/** The uploads that were left unfinished, oldest first; those too old to go on with are dropped. */
export async function loadUploads(): Promise<StoredUpload[]> {
  const all = (await run<StoredUpload[]>([UPLOADS], "readonly", (t) => t.objectStore(UPLOADS).getAll()).catch(
    () => [],
  )) ?? [];
  const [fresh, stale] = [true, false].map((want) =>
    all.filter(({ storedAt }) => storedAt > Date.now() - EXPIRY === want),
  ) as [StoredUpload[], StoredUpload[]];
  await Promise.all(stale.map(({ id }) => removeUpload(id)));
  return fresh.sort((a, b) => a.storedAt - b.storedAt);
}

/**
 * Holds an upload for this tab as long as it lives, so that a second tab does not send the same file too.
 *
 * @returns the way to let go of it; null if another tab has it
 */
export function claim(id: string): Promise<(() => void) | null> {
  if (!navigator.locks) return Promise.resolve(() => {}); // only over plain HTTP from afar
  return new Promise((resolve) => {
    void navigator.locks.request(`cvc-upload-${id}`, { ifAvailable: true }, (lock) => {
      if (!lock) return resolve(null);
      return new Promise<void>((release) => resolve(release));
    });
  });
}
