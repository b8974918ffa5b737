/** What the user can do with a job; each says what went wrong in words. */
import { signal } from "@preact/signals";
import * as api from "../api/api.ts";
import { ApiError } from "../api/api.ts";
import { isActive, type Job } from "../api/types.ts";
import { nameOf } from "../lib/words.ts";
import type { Choice } from "../lib/choice.ts";
import { forget, getJob, hide, load, takeJobs } from "./jobs.ts";
import { announce, complain, dismiss, notify } from "./notices.ts";

/** The job whose output is being played, and the one that is to be converted again. */
export const playing = signal<Job | null>(null);
export const converting = signal<Job | null>(null);

async function attempt(work: Promise<Job>): Promise<void> {
  try {
    takeJobs([await work]);
  } catch (error) {
    if (error instanceof ApiError && error.status === 409) void load(); // it has moved on meanwhile
    complain(error);
  }
}

export const cancel = (job: Job) => attempt(api.cancelJob(job.job_id));
export const retry = (job: Job) => attempt(api.retryJob(job.job_id));

const newKey = () => `again-${Date.now()}-${Math.random().toString(36).slice(2)}`;

export const convertAgain = ({ input_path, filename }: Job, { format, options }: Choice) =>
  attempt(api.createJob({ input_path, output_format: format, options, filename: filename ?? "" }, newKey()));

export async function download(job: Job): Promise<void> {
  try {
    const { url, filename } = await api.getDownload(job);
    const link = document.createElement("a");
    link.href = url;
    link.download = filename;
    link.click();
    announce(`Downloading ${filename}`);
  } catch (error) {
    complain(error);
  }
}

const doomed = new Map<string, number>();

/** Out of sight at once, deleted when the way back has gone. */
export function remove(job: Job): void {
  const id = job.job_id;
  hide(id, true);
  const notice = notify(`${nameOf(job)} deleted`, {
    action: { label: "Undo", run: () => restore(id) },
    onGone: () => void carryOut(id),
  });
  doomed.set(id, notice);
}

function restore(id: string): void {
  const notice = doomed.get(id);
  doomed.delete(id);
  hide(id, false);
  if (notice !== undefined) dismiss(notice, { taken: true });
  announce("Restored");
}

async function carryOut(id: string): Promise<void> {
  if (!doomed.delete(id)) return;
  try {
    await api.deleteJob(id);
    forget(id);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) forget(id);
    else complain(error);
  } finally {
    hide(id, false);
  }
}

/** Leaving the page is as good as letting the time run out. */
export function deleteBeforeLeaving(): void {
  window.addEventListener("pagehide", () => {
    for (const id of [...doomed.keys()]) {
      const job = getJob(id);
      if (job && !isActive(job)) void carryOut(id);
    }
  });
}
