/** All there is to know about a conversion. */
import type { ComponentChildren } from "preact";
import { isActive, type Job, type StreamPlan } from "../api/types.ts";
import { bytes, duration, moment } from "../lib/format.ts";
import { sizeOf } from "../lib/sizes.ts";
import { codecName, optionWords } from "../lib/words.ts";
import { converting } from "../state/actions.ts";
import { formatLabel } from "./choice-editor.tsx";
import { Arrow } from "./controls.tsx";
import { Again, Warning } from "./icons.tsx";

const ACTIONS = { copy: "Copied", encode: "Encoded", drop: "Left out" } as const;

export function JobDetails({ job }: { job: Job }) {
  return (
    <div class="details">
      {job.warnings.length > 0 && (
        <ul class="warnings">
          {job.warnings.map(({ code, message }) => <li key={code + message}><Warning size={16} /> <span>{message}</span></li>)}
        </ul>
      )}
      {job.plan && job.plan.streams.length > 0 && <PlanTable streams={job.plan.streams} />}
      {job.plan?.notes?.map((note) => <p key={note} class="plan-note">{note}</p>)}
      <Facts job={job} />
      {!isActive(job) && (
        <button type="button" class="button soft small" onClick={() => (converting.value = job)}>
          <Again size={16} /> Convert again…
        </button>
      )}
    </div>
  );
}

function PlanTable({ streams }: { streams: StreamPlan[] }) {
  return (
    <table class="plan">
      <caption>What was done, and why</caption>
      <tbody>
        {streams.map((stream) => (
          <tr key={stream.stream}>
            <th scope="row">{stream.type}</th>
            <td><span class={`act ${stream.action}`}>{ACTIONS[stream.action] ?? stream.action}</span></td>
            <td class="codecs">
              {codecName(stream.codec)}
              {stream.action === "encode" && <> <Arrow /> {codecName(stream.target)}</>}
            </td>
            <td class="reason">{stream.reason}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Facts({ job }: { job: Job }) {
  const before = sizeOf(job);
  const after = job.outputs[0]?.size;
  const seconds = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 1000;
  const wishes = optionWords(job.options);
  const length = job.plan?.duration_s;
  return (
    <dl class="facts">
      {before !== null && <Fact name="Before">{bytes(before)}</Fact>}
      {after !== undefined && <Fact name="After">{bytes(after)}</Fact>}
      {length ? <Fact name="Length">{duration(length)}</Fact> : null}
      <Fact name="Format">{[formatLabel(job.output_format), ...wishes].join(", ")}</Fact>
      <Fact name="Asked for">{moment(job.created_at)}</Fact>
      {job.started_at && job.finished_at && <Fact name="Took">{duration(seconds(job.started_at, job.finished_at))}</Fact>}
      {job.attempt > 1 && <Fact name="Attempt">{job.attempt}</Fact>}
      {job.error && <Fact name="Error">{job.error.code}</Fact>}
      <Fact name="Job"><code>{job.job_id}</code></Fact>
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return <div><dt>{name}</dt><dd>{children}</dd></div>;
}
