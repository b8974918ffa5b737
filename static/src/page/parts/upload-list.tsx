/** All files on their way in, and how far they are together. */
import { bytes, duration, many, percent, rate } from "../lib/format.ts";
import { total, uploads } from "../state/upload-items.ts";
import { pauseAll, startAll } from "../state/uploads.ts";
import { ProgressBar } from "./controls.tsx";
import { UploadRow } from "./upload-row.tsx";

export function UploadList() {
  const files = uploads.value;
  if (files.length === 0) return null;
  const ready = files.filter((upload) => upload.value.state === "sent").length;
  return (
    <section class="uploads" aria-labelledby="uploads-title">
      <div class="jobs-head">
        <h2 id="uploads-title">Uploads</h2>
        <Total />
        {ready > 1 && <button type="button" class="button primary small" onClick={startAll}>Convert all {ready}</button>}
      </div>
      <ul class="card rows">
        {files.map((upload) => <UploadRow key={upload.peek().id} upload={upload} />)}
      </ul>
    </section>
  );
}

function Total() {
  const all = total.value;
  if (!all || all.count < 2) return null;
  const { count, size, sent, rate: speed, paused } = all;
  const done = size > 0 ? (sent / size) * 100 : 0;
  const words = [
    many(count, "file"), `${bytes(sent)} of ${bytes(size)}`,
    ...(speed > 0 ? [rate(speed), `${duration((size - sent) / speed)} left`] : []),
  ];
  return (
    <div class="total">
      <span class="total-words">{words.join(" · ")}</span>
      <ProgressBar label="All uploads" value={done} text={percent(done)} still={paused} />
      <button type="button" class="button soft small" onClick={() => pauseAll(!paused)}>{paused ? "Resume all" : "Pause all"}</button>
    </div>
  );
}
