/** The calls of the API that the page makes. */
import { ApiError, fetch } from "./fetch.ts";
import type { Download, Formats, Job, Options, Status } from "./types.ts";

export { ApiError } from "./fetch.ts";

export const API = "/api";

async function call<T>(method: string, path: string, body?: unknown, init: RequestInit = {}): Promise<T> {
  const response = await fetch(`${API}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...init,
    headers: {
      Accept: "application/json",
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...(init.headers as Record<string, string>),
    },
  });
  return (response.status === 204 ? undefined : await response.json()) as T;
}

const at = (id: string) => `/jobs/${encodeURIComponent(id)}`;

export const getFormats = () => call<Formats>("GET", "/formats");

export function listJobs({ status, limit, cursor }: { status?: Status; limit?: number; cursor?: string | null }) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ status, limit, cursor })) if (value) query.set(name, String(value));
  return call<{ jobs: Job[]; next_cursor: string | null }>("GET", `/jobs?${query}`);
}

export const getJob = (id: string) => call<Job>("GET", at(id));
export const cancelJob = (id: string) => call<Job>("POST", `${at(id)}/cancel`);
export const retryJob = (id: string) => patiently(() => call<Job>("POST", `${at(id)}/retry`));
/** `keepalive`: it is sent even if the page is being left. */
export const deleteJob = (id: string) =>
  patiently(() => call<void>("DELETE", at(id), undefined, { keepalive: true }));

const LAG = [100, 300, 800, 2_000];

/**
 * The push channel may be ahead of the API by a moment: a job that has just ended here may still be at work there.
 * What is refused for that is asked for again a few times.
 */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (const wait of LAG) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 409) throw error;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
  return ask();
}

export interface NewJob {
  input_path: string;
  output_format: string;
  options: Options;
  filename: string;
}

/** @param once the same key twice makes one job, so that a lost answer can be asked for again */
export const createJob = (job: NewJob, once: string) =>
  call<Job>("POST", "/jobs", job, { headers: { "Idempotency-Key": once } });

/** Has the store forget the parts of an upload that is not wanted any more. */
export const abortUpload = (uploadId: string, key: string) =>
  call<unknown>("DELETE", `/s3/multipart/${encodeURIComponent(uploadId)}?${new URLSearchParams({ key })}`, undefined, {
    keepalive: true,
  });

const downloads = new Map<string, Promise<Download>>();
const MARGIN = 60_000;

/** Where the output is, for a while.  Asked for once, and again when the address is about to expire. */
export async function getDownload(job: Job, { kind, fresh = false }: { kind?: string; fresh?: boolean } = {}) {
  const name = `${job.job_id} ${job.attempt} ${kind ?? ""}`;
  const known = fresh ? undefined : await downloads.get(name)?.catch(() => undefined);
  if (known && Date.parse(known.expires_at) - Date.now() > MARGIN) return known;
  const query = kind ? `?kind=${encodeURIComponent(kind)}` : "";
  const asked = patiently(() => call<Download>("GET", `${at(job.job_id)}/download${query}`));
  downloads.set(name, asked);
  return asked;
}
