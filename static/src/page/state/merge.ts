/** How news of a job is put together with what is known of it.  Pure. */
import { TERMINAL, type Job } from "../api/types.ts";

/** A whole job, or an event: an id, a number, and the fields that changed. */
export type JobNews = Partial<Job> & { job_id: string; type?: string; time?: string; reason?: unknown };

const NO_PROGRESS = { percent: null, fps: null, speed: null, eta_s: null };

const BLANK: Omit<Job, "job_id"> = {
  status: "QUEUED", stage: null, progress: NO_PROGRESS, filename: null, input_path: "", output_format: "",
  output_path: "", options: {}, attempt: 1, seq: 0, error: null, warnings: [], plan: null, outputs: [],
  created_at: "", started_at: null, finished_at: null, updated_at: "",
};

/**
 * The job after the news; the very same object if they are old or say nothing new.
 *
 * News are old if their attempt, or within it their number, is not above what is known; and an attempt that has
 * ended stays ended.
 */
export function merge(known: Job | undefined, news: JobNews): Job {
  const { type, time, reason: _, ...fields } = news;
  if (!known) {
    const created_at = fields.created_at ?? time ?? new Date().toISOString();
    return { ...BLANK, ...fields, created_at, progress: { ...NO_PROGRESS, ...fields.progress } };
  }
  const attempt = fields.attempt ?? known.attempt;
  const seq = fields.seq ?? known.seq;
  const whole = type === undefined;
  if (attempt < known.attempt) return known;
  if (attempt === known.attempt) {
    if (whole ? seq < known.seq : seq <= known.seq) return known;
    if (TERMINAL.has(known.status) && fields.status !== known.status) return known;
  }
  const fresh = attempt > known.attempt && !whole ? { ...BLANK, ...carried(known) } : known;
  const next: Job = { ...fresh, ...fields, attempt, seq };
  next.created_at = known.created_at || next.created_at;
  next.progress = { ...NO_PROGRESS, ...(fields.progress ?? (fields.status === "QUEUED" ? null : fresh.progress)) };
  if (time) next.updated_at = time;
  if (next.status !== "PROCESSING") next.stage = null;
  return same(known, next) ? known : next;
}

/** What a new attempt keeps of the one before. */
function carried({ filename, input_path, input_size, output_format, output_path, options, created_at, job_id }: Job) {
  return { filename, input_path, input_size, output_format, output_path, options, created_at, job_id };
}

function same(a: Job, b: Job): boolean {
  return a.seq === b.seq && a.attempt === b.attempt && a.updated_at === b.updated_at && a.status === b.status;
}
