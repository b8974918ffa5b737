/** One conversion in the list. */
import { type Signal, useSignal } from "@preact/signals";
import { useId, useRef } from "preact/hooks";
import { isActive, type Job } from "../api/types.ts";
import { now } from "../lib/clock.ts";
import { ago, bytes, change, moment, ordinal } from "../lib/format.ts";
import { sizeOf } from "../lib/sizes.ts";
import { nameOf, optionWords, paceWords, percentWords, stageWords } from "../lib/words.ts";
import { playable } from "../lib/playable.ts";
import * as actions from "../state/actions.ts";
import { places } from "../state/jobs.ts";
import { formatLabel } from "./choice-editor.tsx";
import { Arrow, IconButton, ProgressBar } from "./controls.tsx";
import { Chevron, Close, Download, Play, Retry, Trash, Warning } from "./icons.tsx";
import { JobDetails } from "./job-details.tsx";
import { Tile } from "./tile.tsx";

export function JobRow({ source }: { source: Signal<Job> }) {
  const job = source.value;
  const open = useSignal(false);
  const panel = useId();
  const row = useRef<HTMLLIElement>(null);
  const name = nameOf(job);
  return (
    <li class={`row job ${job.status.toLowerCase()}`} ref={row} data-job={job.job_id} data-status={job.status}>
      <Tile job={job} />
      <div class="row-body">
        <div class="row-head">
          <span class="name" dir="auto" title={name}>{name}</span>
          <span class="pill" title={optionWords(job.options).join(", ")}>
            <span class="visually-hidden">to </span>{formatLabel(job.output_format)}
          </span>
        </div>
        <StatusLine job={job} />
        {job.warnings[0] && <p class="note"><Warning size={15} /> {job.warnings[0].message}{more(job.warnings.length)}</p>}
        {job.status === "PROCESSING" && (
          <ProgressBar label={`Converting ${name}`} value={job.progress.percent} text={percentWords(job.progress.percent)} />
        )}
      </div>
      <div class="row-actions">
        <MainActions job={job} name={name} />
        <IconButton label={`Details of ${name}`} expanded={open.value} controls={panel} onClick={() => (open.value = !open.value)}>
          <Chevron />
        </IconButton>
        {isActive(job)
          ? <IconButton label={`Cancel ${name}`} onClick={() => void actions.cancel(job)}><Close /></IconButton>
          : <IconButton label={`Delete ${name}`} onClick={() => removeRow(job, row.current)}><Trash /></IconButton>}
      </div>
      <div class="row-details" id={panel} hidden={!open.value}>{open.value && <JobDetails job={job} />}</div>
    </li>
  );
}

function MainActions({ job, name }: { job: Job; name: string }) {
  if (job.status === "COMPLETED") {
    return (
      <>
        {playable(job) && (
          <button type="button" class="button soft small" aria-label={`Play ${name}`} onClick={() => (actions.playing.value = job)}>
            <Play size={16} /> Play
          </button>
        )}
        <button type="button" class="button soft small" aria-label={`Download ${name}`} onClick={() => void actions.download(job)}>
          <Download size={16} /> <span class="wide-only">Download</span>
        </button>
      </>
    );
  }
  if (job.status === "FAILED" || job.status === "CANCELLED") {
    return (
      <button type="button" class="button soft small" aria-label={`Try again: ${name}`} onClick={() => void actions.retry(job)}>
        <Retry size={16} /> Try again
      </button>
    );
  }
  return null;
}

const more = (warnings: number) => (warnings > 1 ? ` And ${warnings - 1} more.` : "");

/** The focus goes to the neighbour of a row that vanishes, so that the keyboard stays in the list. */
function removeRow(job: Job, row: HTMLLIElement | null): void {
  const neighbour = row?.nextElementSibling ?? row?.previousElementSibling;
  const target = neighbour?.querySelector<HTMLElement>(".row-actions button:last-child") ?? document.getElementById("conversions");
  actions.remove(job);
  target?.focus();
}

function StatusLine({ job }: { job: Job }) {
  switch (job.status) {
    case "QUEUED": {
      const place = places.value.get(job.job_id);
      const again = job.attempt > 1 ? ` · attempt ${job.attempt}` : "";
      return <p class="status"><b>Queued</b>{place && place > 1 ? ` · ${ordinal(place)} in line` : ""}{again}</p>;
    }
    case "PROCESSING":
      return (
        <p class="status">
          <b>{stageWords(job)}</b>
          {paceWords(job).map((words) => ` · ${words}`)}
        </p>
      );
    case "FAILED":
      return <p class="problem"><b>Failed</b> · {job.error?.message ?? "Something went wrong."}</p>;
    default:
      return (
        <p class="status">
          <b>{job.status === "COMPLETED" ? "Ready" : "Cancelled"}</b>
          {job.status === "COMPLETED" && <Sizes job={job} />}
          {job.finished_at && <> · <time dateTime={job.finished_at} title={moment(job.finished_at)}>{ago(job.finished_at, now.value)}</time></>}
        </p>
      );
  }
}

function Sizes({ job }: { job: Job }) {
  const after = job.outputs[0]?.size;
  const before = sizeOf(job);
  if (!after) return null;
  if (!before) return <> · {bytes(after)}</>;
  return <> · {bytes(before)} <Arrow /> {bytes(after)} <span class="saved">{change(before, after)}</span></>;
}
