/** Where files come in, and what they are to become. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { bytes } from "../lib/format.ts";
import { PRESETS, presetOf } from "../lib/choice.ts";
import { autoStart, defaultChoice, setAutoStart, setDefaultChoice } from "../state/choices.ts";
import { formatNamed, maxUploadSize } from "../state/formats.ts";
import { counts } from "../state/jobs.ts";
import { uploads } from "../state/upload-items.ts";
import { addFiles } from "../state/uploads.ts";
import { filesIn } from "../upload/files.ts";
import { ChoiceEditor, formatLabel } from "./choice-editor.tsx";
import { Chevron, Upload } from "./icons.tsx";
import { optionWords } from "../lib/words.ts";
import { Switch } from "./controls.tsx";

const ACCEPT = "video/*,audio/*,image/gif,.mkv,.avi,.flv,.wmv,.ts,.m2ts,.mts,.mxf,.vob,.ogv,.rmvb,.3gp,.m4v,.opus";

export function DropCard() {
  const picker = useRef<HTMLInputElement>(null);
  const over = useDropAnywhere();
  const busy = counts.value.all > 0 || uploads.value.length > 0;
  const limit = maxUploadSize.value;
  return (
    <section class={`card drop${busy ? " compact" : ""}${over.value ? " over" : ""}`} aria-label="Add files">
      <div class="drop-zone">
        <DropArt />
        <div class="drop-words">
          <p class="drop-title">
            {over.value ? "Let go to add them" : <><span class="mouse-only">Drop videos here</span><span class="touch-only">Add videos</span></>}
          </p>
          <p class="drop-hint"><span class="mouse-only">or paste them{limit ? " · " : ""}</span>{limit ? `up to ${bytes(limit)} each` : ""}</p>
        </div>
        <button type="button" class="button primary" onClick={() => picker.current?.click()}>
          <Upload size={18} /> Choose files
        </button>
        <input ref={picker} type="file" multiple accept={ACCEPT} hidden data-testid="picker" aria-label="Choose files"
          onChange={(event) => {
            addFiles([...(event.currentTarget.files ?? [])]);
            event.currentTarget.value = "";
          }} />
      </div>
      <TargetPicker />
    </section>
  );
}

function useDropAnywhere() {
  const over = useSignal(false);
  useEffect(() => {
    const stop = new AbortController();
    let depth = 0;
    const on = (name: string, handle: (event: DragEvent) => void) =>
      window.addEventListener(name, (event) => handle(event as DragEvent), { signal: stop.signal });
    const withFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    on("dragenter", (event) => {
      if (!withFiles(event)) return;
      event.preventDefault();
      depth += 1;
      over.value = true;
    });
    on("dragover", (event) => withFiles(event) && event.preventDefault());
    on("dragleave", () => {
      depth = Math.max(0, depth - 1);
      if (depth === 0) over.value = false;
    });
    on("drop", (event) => {
      if (!withFiles(event)) return;
      event.preventDefault();
      depth = 0;
      over.value = false;
      void filesIn(event.dataTransfer as DataTransfer).then(addFiles);
    });
    window.addEventListener(
      "paste",
      (event) => {
        const files = [...(event.clipboardData?.files ?? [])];
        if (files.length > 0) addFiles(files);
      },
      { signal: stop.signal },
    );
    return () => stop.abort();
  }, []);
  return over;
}

/** Presets in a row, and the full choice behind a fold. */
function TargetPicker() {
  const choice = defaultChoice.value;
  const preset = presetOf(choice);
  const open = useSignal(false);
  useSignalEffect(() => {
    // A remembered format that this server does not make gives way to the first preset.
    if (!formatNamed(defaultChoice.value.format)) setDefaultChoice({ format: "mp4", options: {} });
  });
  const offered = PRESETS.filter(({ format }) => formatNamed(format));
  return (
    <div class="target">
      <fieldset>
        <legend>Convert to</legend>
        <div class="presets">
          {offered.map(({ id, name, hint, format, options }) => (
            <label key={id} class="preset">
              <input type="radio" name="preset" checked={preset?.id === id} onChange={() => setDefaultChoice({ format, options })} />
              <span class="preset-name">{name}</span>
              <span class="preset-hint">{hint}</span>
            </label>
          ))}
          {!preset && (
            <label class="preset">
              <input type="radio" name="preset" checked readOnly />
              <span class="preset-name">Your own</span>
              <span class="preset-hint">{[formatLabel(choice.format), ...optionWords(choice.options)].slice(0, 2).join(" · ")}</span>
            </label>
          )}
        </div>
      </fieldset>
      <div class="target-foot">
        <button type="button" class="fold-button" aria-expanded={open.value} aria-controls="default-choice"
          onClick={() => (open.value = !open.value)}>
          <Chevron size={18} /> Format and options
        </button>
        <Switch label="Start when uploaded" checked={autoStart.value} onChange={setAutoStart} />
      </div>
      <div id="default-choice" hidden={!open.value}>
        {open.value && <ChoiceEditor choice={choice} onChange={setDefaultChoice} />}
      </div>
    </div>
  );
}

/** A frame of film becoming a playable one. */
function DropArt() {
  return (
    <svg class="drop-art" viewBox="14 4 92 72" width="106" height="83" aria-hidden="true">
      <rect class="art-back" x="16" y="6" width="70" height="50" rx="9" />
      <path class="art-holes" d="M24 13h5m6 0h5m6 0h5m6 0h5m6 0h5M24 49h5m6 0h5m6 0h5m6 0h5m6 0h5" />
      <rect class="art-front" x="34" y="24" width="70" height="50" rx="9" />
      <path class="art-play" d="M62 40v18a2 2 0 0 0 3 1.700l15-9a2 2 0 0 0 0-3.400l-15-9a2 2 0 0 0-3 1.700Z" />
    </svg>
  );
}
