/** All jobs the page knows, each a signal of its own, so that one job's progress redraws one row. */
import { batch, computed, signal, type Signal } from "@preact/signals";
import * as api from "../api/api.ts";
import { isActive, type Job, type Status } from "../api/types.ts";
import { type JobNews, merge } from "./merge.ts";

const PAGE = 100;
const SEARCH_DEPTH = 2_000;

const jobs = new Map<string, Signal<Job>>();
/** Rises when jobs come, go or change state: what the order and the filters hang on, and mere progress does not. */
const shape = signal(0);
/** Jobs being deleted: out of sight, until the server has done it or the user has thought better of it. */
const hidden = signal<ReadonlySet<string>>(new Set());
const unknown = new Set<string>();

export type Filter = "all" | "active" | "done" | "failed";
export const filter = signal<Filter>("all");
export const search = signal("");
/** Undefined until the first answer; null when everything older has been loaded. */
export const nextCursor = signal<string | null | undefined>(undefined);
export const loading = signal(false);
export const loadError = signal<string | null>(null);

type Listener = (job: Job, before: Job | undefined) => void;
const listeners: Listener[] = [];

/** Calls back for each job that has come to another state, or was seen for the first time by an event. */
export function onTransition(listener: Listener): void {
  listeners.push(listener);
}

const FILTERS: Record<Filter, (status: Status) => boolean> = {
  all: () => true,
  active: (status) => status === "QUEUED" || status === "PROCESSING",
  done: (status) => status === "COMPLETED",
  failed: (status) => status === "FAILED" || status === "CANCELLED",
};

/** Newest first. */
const ordered = computed(() => {
  shape.value;
  const gone = hidden.value;
  return [...jobs.values()]
    .filter((job) => !gone.has(job.peek().job_id))
    .sort((a, b) => b.peek().created_at.localeCompare(a.peek().created_at));
});

export const visible = computed(() => {
  const words = search.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const fits = FILTERS[filter.value];
  return ordered.value.filter((each) => {
    const job = each.peek();
    const text = `${job.filename ?? ""} ${job.output_format} ${job.job_id}`.toLocaleLowerCase();
    return fits(job.status) && words.every((word) => text.includes(word));
  });
});

export const counts = computed(() => {
  const result: Record<Filter, number> = { all: 0, active: 0, done: 0, failed: 0 };
  for (const job of ordered.value) {
    const { status } = job.peek();
    for (const name of Object.keys(result) as Filter[]) if (FILTERS[name](status)) result[name] += 1;
  }
  return result;
});

/** The jobs at work or waiting, with their progress: for the title and the summary. */
export const active = computed(() => ordered.value.filter((job) => isActive(job.peek())));

/** The place of each waiting job in this user's own queue, from 1. */
export const places = computed(() => {
  const waiting = ordered.value.filter((job) => job.peek().status === "QUEUED").reverse();
  return new Map(waiting.map((job, index) => [job.peek().job_id, index + 1]));
});

export function getJob(id: string): Job | undefined {
  return jobs.get(id)?.peek();
}

/** Takes in whole jobs, from any answer of the API or a snapshot. */
export function takeJobs(news: Job[]): void {
  batch(() => news.forEach((each) => take(each)));
}

/**
 * Takes in what the push service remembers.  It does not hear of deletions, so a job that only it knows is asked for,
 * unless it has ended: then the list has it, or nobody has.
 */
export function takeSnapshot(news: Job[]): void {
  batch(() => news.filter(({ job_id }) => jobs.has(job_id)).forEach((each) => take(each)));
  for (const each of news) if (!jobs.has(each.job_id) && isActive(each)) void fetchUnknown(each);
}

/** Takes in an event.  A job never heard of is asked for, unless the event tells all about it. */
export function takeEvent(event: JobNews): void {
  const whole = jobs.has(event.job_id) || event.input_path !== undefined;
  if (whole) batch(() => take(event));
  else void fetchUnknown(event);
}

function take(news: JobNews): void {
  const known = jobs.get(news.job_id);
  const before = known?.peek();
  const after = merge(before, news);
  if (after === before) return;
  if (known) known.value = after;
  else jobs.set(after.job_id, signal(after));
  if (after.status === before?.status && after.filename === before.filename) return;
  shape.value += 1;
  if (after.status !== before?.status) listeners.forEach((listener) => listener(after, before));
}

async function fetchUnknown(event: JobNews): Promise<void> {
  if (unknown.has(event.job_id)) return;
  unknown.add(event.job_id);
  try {
    const job = await api.getJob(event.job_id);
    batch(() => {
      take(job);
      take(event);
    });
  } catch {
    // It may have been deleted since; the next event asks again.
  } finally {
    unknown.delete(event.job_id);
  }
}

/** Loads the newest jobs, or those older than what is loaded. */
export async function load(which: "newest" | "older" = "newest"): Promise<void> {
  if (loading.value || (which === "older" && !nextCursor.value)) return;
  loading.value = true;
  const known = new Set(jobs.keys());
  try {
    const page = await api.listJobs({ limit: PAGE, cursor: which === "older" ? (nextCursor.value ?? null) : null });
    batch(() => {
      takeJobs(page.jobs);
      if (which === "older" || nextCursor.value === undefined) nextCursor.value = page.next_cursor;
      loadError.value = null;
    });
    if (which === "newest") forgetDeleted(known, page.jobs, page.next_cursor === null);
  } catch (error) {
    loadError.value = (error as Error).message;
    const again = error instanceof api.ApiError && error.passing && nextCursor.value === undefined;
    if (again) setTimeout(() => void load(), 3_000);
  } finally {
    loading.value = false;
  }
}

/** A search looks at older jobs too, as far as is reasonable. */
export async function loadForSearch(): Promise<void> {
  while (search.value && nextCursor.value && jobs.size < SEARCH_DEPTH && !loadError.value) await load("older");
}

/** Jobs that were known before the answer was asked for, and that it does not hold, have been deleted elsewhere. */
function forgetDeleted(known: ReadonlySet<string>, newest: Job[], complete: boolean): void {
  const present = new Set(newest.map((job) => job.job_id));
  const oldest = complete ? "" : (newest.at(-1)?.created_at ?? "\uffff");
  batch(() => {
    for (const id of known) {
      const created_at = jobs.get(id)?.peek().created_at ?? "";
      if (created_at > oldest && !present.has(id)) forget(id);
    }
  });
}

export function forget(id: string): void {
  if (jobs.delete(id)) shape.value += 1;
}

export function hide(id: string, yes: boolean): void {
  const next = new Set(hidden.value);
  if (yes) next.add(id);
  else next.delete(id);
  hidden.value = next;
}
