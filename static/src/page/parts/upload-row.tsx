/** A file on its way in. */
import { type Signal, useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { bytes, duration, percent, rate } from "../lib/format.ts";
import { online } from "../lib/online.ts";
import { optionWords } from "../lib/words.ts";
import { fitting } from "../lib/choice.ts";
import { autoStart } from "../state/choices.ts";
import * as queue from "../state/uploads.ts";
import type { Upload } from "../state/upload-items.ts";
import { ChoiceEditor, formatItems, formatLabel } from "./choice-editor.tsx";
import { formatNamed } from "../state/formats.ts";
import { IconButton, ProgressBar, Select } from "./controls.tsx";
import { Alert, Clock, Close, Pause, Play, Sliders, Upload as Arrow } from "./icons.tsx";

export function UploadRow({ upload }: { upload: Signal<Upload> }) {
  const file = upload.value;
  const open = useSignal(false);
  const panel = useId();
  const { id, name, choice, state } = file;
  const toggle = () => {
    open.value = !open.value;
    queue.hold(id, open.value);
    if (!open.value && state === "sent" && autoStart.value && !file.error) void queue.start(id);
  };
  const editable = state !== "starting" && state !== "failed";
  return (
    <li class={`row upload ${state}`}>
      <UploadTile file={file} />
      <div class="row-body">
        <div class="row-head">
          <span class="name" dir="auto" title={name}>{name}</span>
        </div>
        <p class="status">{statusWords(file)}</p>
        {file.error && <p class="problem">{file.error}</p>}
        {state !== "sent" && state !== "failed" && state !== "lost" && (
          <ProgressBar label={`Uploading ${name}`} value={state === "starting" ? 100 : share(file)} still={state === "paused"}
            text={percent(share(file))} />
        )}
      </div>
      <div class="row-actions">
        {editable && (
          <Select label={`Format for ${name}`} value={choice.format} items={formatItems()}
            onChange={(format) => {
              const next = formatNamed(format);
              queue.choose(id, { format, options: next ? fitting(choice.options, next) : {} });
            }} />
        )}
        {editable && <IconButton label={`Options for ${name}`} expanded={open.value} controls={panel} onClick={toggle}><Sliders /></IconButton>}
        <UploadActions file={file} />
        <IconButton label={`Cancel the upload of ${name}`} onClick={() => queue.cancel(id)}><Close /></IconButton>
      </div>
      <div class="row-details" id={panel} hidden={!open.value}>
        {open.value && editable && <ChoiceEditor choice={choice} onChange={(next) => queue.choose(id, next)} />}
      </div>
    </li>
  );
}

function UploadActions({ file: { id, name, state, error } }: { file: Upload }) {
  if (state === "sending" || state === "queued" || state === "waiting") {
    return <IconButton label={`Pause ${name}`} onClick={() => queue.pause(id)}><Pause /></IconButton>;
  }
  if (state === "paused") return <IconButton label={`Resume ${name}`} onClick={() => queue.resume(id)}><Play /></IconButton>;
  if (state === "sent") {
    return <button type="button" class="button primary small" onClick={() => void queue.start(id)}>{error ? "Try again" : "Convert"}</button>;
  }
  return null;
}

const share = ({ sent, size }: Upload) => (size > 0 ? Math.min(100, (sent / size) * 100) : 0);

function statusWords(file: Upload): string {
  const { state, size, sent, rate: speed } = file;
  const of = `${bytes(sent)} of ${bytes(size)}`;
  const options = optionWords(file.choice.options);
  switch (state) {
    case "queued": return `Waiting to upload · ${bytes(size)}`;
    case "sending": {
      if (!online.value) return waitingWords(of);
      const left = speed && speed > 0 ? [`${rate(speed)}`, `${duration((size - sent) / speed)} left`] : [];
      return ["Uploading", of, ...left].join(" · ");
    }
    case "paused": return `Paused · ${of}`;
    case "waiting": return waitingWords(of);
    case "lost": return "The page was reloaded. Choose the same file again to go on where it was.";
    case "sent": return [`Uploaded, to become ${formatLabel(file.choice.format)}`, ...options].join(" · ");
    case "starting": return "Starting the conversion";
    case "failed": return bytes(size);
  }
}

const waitingWords = (of: string) => `Connection lost, going on by itself · ${of}`;

function UploadTile({ file }: { file: Upload }) {
  const { state } = file;
  if (state === "failed" || state === "lost") return <div class="tile bad"><Alert size={24} /></div>;
  if (state === "sent") return <div class="tile"><Arrow size={24} /></div>;
  if (state === "queued") return <div class="tile"><Clock size={24} /></div>;
  return <div class="tile"><span class="tile-number">{percent(Math.floor(share(file)))}</span></div>;
}
