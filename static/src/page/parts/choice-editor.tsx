/** Format and options of a conversion: the common ones in sight, the rest under "Advanced". */
import { useComputed } from "@preact/signals";
import type { AudioOptions, Format, Options } from "../api/types.ts";
import { parseClock, parseNumber } from "../lib/parse.ts";
import { clock } from "../lib/format.ts";
import { type Choice, fitting } from "../lib/choice.ts";
import { formatNamed, hasOption, offer } from "../state/formats.ts";
import { type Item, InputField, SelectField, Switch } from "./controls.tsx";

const GROUPS = { video: "Video", image: "Moving picture", audio: "Sound only" } as const;
const HEIGHTS = [2160, 1440, 1080, 720, 480, 360];
const RATES = [60, 50, 30, 25, 24, 15, 12, 10];
const BITRATES = [320, 256, 192, 160, 128, 96, 64];
const NAMES: Record<string, string> = {
  h264: "H.264", hevc: "H.265 (HEVC)", av1: "AV1", vp9: "VP9", mpeg4: "MPEG-4", copy: "Keep as it is",
  aac: "AAC", mp3: "MP3", opus: "Opus", vorbis: "Vorbis", flac: "FLAC", pcm: "PCM",
};
const named = (codec: string): Item => ({ value: codec, label: NAMES[codec] ?? codec });

export const formatLabel = (name: string) => (name === "webm" ? "WebM" : name === "webp" ? "WebP" : name.toUpperCase());

export const formatItems = (): Item[] =>
  (["video", "image", "audio"] as const).flatMap((kind) =>
    offer.value.formats
      .filter((format) => format.kind === kind)
      .map((format) => ({ value: format.name, label: formatLabel(format.name), group: GROUPS[kind] })),
  );

interface EditorProps {
  choice: Choice;
  onChange: (choice: Choice) => void;
}

export function ChoiceEditor({ choice, onChange }: EditorProps) {
  const format = useComputed(() => formatNamed(choice.format)).value ?? formatNamed(choice.format);
  if (!format) return null;
  const set = (change: Partial<Options>) => onChange({ ...choice, options: fitting({ ...choice.options, ...change }, format) });
  const pickFormat = (name: string) => {
    const next = formatNamed(name);
    onChange({ format: name, options: next ? fitting(choice.options, next) : {} });
  };
  return (
    <div class="editor">
      <div class="fields">
        <SelectField label="Format" value={choice.format} items={formatItems()} onChange={pickFormat} hint={format.note} />
        <CommonFields options={choice.options} format={format} set={set} />
      </div>
      <details class="advanced">
        <summary>Advanced</summary>
        <div class="fields">
          <AdvancedFields options={choice.options} format={format} set={set} />
        </div>
      </details>
    </div>
  );
}

interface PartProps {
  options: Options;
  format: Format;
  set: (change: Partial<Options>) => void;
}

const optional = (value: string) => (value === "" ? undefined : Number(value));
const orBlank = (value: number | undefined) => (value === undefined ? "" : String(value));

function CommonFields({ options, format, set }: PartProps) {
  const pictured = format.kind !== "audio" && options.video !== "none";
  const scalable = pictured && options.video !== "copy";
  const numeric = typeof options.quality === "number";
  return (
    <>
      {hasOption("quality") && (
        <SelectField label="Quality" value={numeric ? "number" : (options.quality as string) ?? "balanced"}
          onChange={(value) => set({ quality: value === "balanced" ? undefined : value === "number" ? 23 : value })}
          items={[
            { value: "fast", label: "Fast" }, { value: "balanced", label: "Balanced" }, { value: "best", label: "Best" },
            ...(pictured ? [{ value: "number", label: "By number (CRF)" }] : []),
          ]} />
      )}
      {numeric && (
        <InputField label="Rate factor" mode="numeric" value={String(options.quality)} hint="0 to 63; lower is better and larger"
          onChange={(value) => set({ quality: parseNumber(value, 0, 63) ?? undefined })} />
      )}
      {scalable && hasOption("max_height") && (
        <SelectField label="Height" value={orBlank(options.max_height)} onChange={(value) => set({ max_height: optional(value) })}
          items={[{ value: "", label: "As in the file" }, ...HEIGHTS.map((h) => ({ value: String(h), label: `At most ${h} px` }))]} />
      )}
      {scalable && hasOption("fps") && (
        <SelectField label="Frames a second" value={orBlank(options.fps)} onChange={(value) => set({ fps: optional(value) })}
          items={[{ value: "", label: "As in the file" }, ...RATES.map((r) => ({ value: String(r), label: String(r) }))]} />
      )}
      {hasOption("trim") && <TrimFields trim={options.trim} set={set} />}
    </>
  );
}

function TrimFields({ trim, set }: { trim: Options["trim"]; set: PartProps["set"] }) {
  const shown = (value: number | undefined) => (value === undefined ? "" : clock(value));
  const change = (name: "start_s" | "end_s") => (text: string) => set({ trim: { ...trim, [name]: parseClock(text) ?? undefined } });
  return (
    <>
      <InputField label="Start at" value={shown(trim?.start_s)} placeholder="0:00" onChange={change("start_s")} />
      <InputField label="End at" value={shown(trim?.end_s)} placeholder="to the end" onChange={change("end_s")} />
    </>
  );
}

function AdvancedFields({ options, format, set }: PartProps) {
  const encodes = format.kind === "video" && options.video !== "copy" && options.video !== "none";
  const target = options.two_pass?.target_size;
  return (
    <>
      {format.kind === "video" && hasOption("video") && (
        <SelectField label="Picture" value={options.video ?? ""} onChange={(value) => set({ video: value || undefined })}
          items={[
            { value: "", label: "Chosen for you" }, ...format.video_codecs.filter((codec) => codec in NAMES).map(named),
            named("copy"), { value: "none", label: "No picture" },
          ]} />
      )}
      {format.kind !== "image" && hasOption("audio") && <AudioFields options={options} format={format} set={set} />}
      {format.kind !== "audio" && options.video !== "none" && options.video !== "copy" && hasOption("max_width") && (
        <InputField label="Width, at most" mode="numeric" suffix="px" value={orBlank(options.max_width)} placeholder="as in the file"
          onChange={(value) => set({ max_width: parseNumber(value, 16, 8192) ?? undefined })} />
      )}
      {encodes && hasOption("two_pass") && (
        <InputField label="Aim at a size" mode="decimal" suffix="MB" placeholder="no limit" hint="Takes twice as long"
          value={target ? String(Number(target) / 1e6) : ""}
          onChange={(value) => {
            const size = parseNumber(value, 0.1, 1e6);
            set({ two_pass: size === null ? undefined : { target_size: Math.round(size * 1e6) } });
          }} />
      )}
      {format.kind === "video" && options.video !== "none" && hasOption("subtitles") && (
        <SelectField label="Subtitles" value={options.subtitles ?? "keep"}
          onChange={(value) => set({ subtitles: value === "keep" ? undefined : value })}
          items={[
            { value: "keep", label: "Keep" }, { value: "drop", label: "Leave out" },
            ...(encodes ? [{ value: "burn", label: "Draw into the picture" }] : []),
          ]} />
      )}
      {hasOption("metadata") && (
        <SelectField label="Title, place and device" value={options.metadata ?? "keep"}
          onChange={(value) => set({ metadata: value === "keep" ? undefined : value })}
          items={[{ value: "keep", label: "Keep" }, { value: "strip", label: "Remove" }]} />
      )}
    </>
  );
}

function AudioFields({ options, format, set }: PartProps) {
  const audio: AudioOptions = options.audio === "none" || !options.audio ? {} : options.audio;
  const change = (more: Partial<AudioOptions>) => set({ audio: { ...audio, ...more } });
  const codec = audio.codec ?? format.audio_codecs[0] ?? "";
  const encodes = options.audio !== "none" && codec !== "copy";
  const lossless = codec === "flac" || codec === "pcm";
  const none = format.kind === "video" && options.video !== "none" ? [{ value: "none", label: "No sound" }] : [];
  return (
    <>
      <SelectField label="Sound" value={options.audio === "none" ? "none" : (audio.codec ?? "")}
        onChange={(value) => (value === "none" ? set({ audio: "none" }) : change({ codec: value || undefined } as AudioOptions))}
        items={[{ value: "", label: "Chosen for you" }, ...format.audio_codecs.map(named), named("copy"), ...none]} />
      {encodes && !lossless && (
        <SelectField label="Sound bitrate" value={orBlank(audio.bitrate_kbps)}
          onChange={(value) => change({ bitrate_kbps: optional(value) } as AudioOptions)}
          items={[{ value: "", label: "Chosen for you" }, ...BITRATES.map((b) => ({ value: String(b), label: `${b} kbit/s` }))]} />
      )}
      {encodes && (
        <SelectField label="Channels" value={orBlank(audio.channels)}
          onChange={(value) => change({ channels: optional(value) } as AudioOptions)}
          items={[{ value: "", label: "As in the file" }, { value: "1", label: "Mono" }, { value: "2", label: "Stereo" }]} />
      )}
      {encodes && (
        <Switch label="Even out the loudness" checked={audio.normalize ?? false} onChange={(normalize) => change({ normalize })} />
      )}
    </>
  );
}
