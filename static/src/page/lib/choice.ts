/** What to make of a file: a format and options, by preset or by hand.  Pure. */
import type { AudioOptions, Format, Options } from "../api/types.ts";

export interface Choice {
  format: string;
  options: Options;
}

export interface Preset extends Choice {
  id: string;
  name: string;
  hint: string;
}

export const PRESETS: Preset[] = [
  { id: "anywhere", name: "Plays anywhere", hint: "MP4", format: "mp4", options: {} },
  { id: "small", name: "Small file", hint: "MP4 · 720p", format: "mp4", options: { max_height: 720, quality: "fast" } },
  { id: "best", name: "Best quality", hint: "MP4 · slow", format: "mp4", options: { quality: "best" } },
  { id: "web", name: "Open web", hint: "WebM", format: "webm", options: {} },
  { id: "gif", name: "Animated GIF", hint: "480 px wide", format: "gif", options: { max_width: 480, fps: 12 } },
  { id: "sound", name: "Just the sound", hint: "MP3", format: "mp3", options: {} },
];

export const sameChoice = (a: Choice, b: Choice) =>
  a.format === b.format && JSON.stringify(sorted(a.options)) === JSON.stringify(sorted(b.options));

export const presetOf = (choice: Choice) => PRESETS.find((preset) => sameChoice(preset, choice));

function sorted(value: unknown): unknown {
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a.localeCompare(b)).map(([name, each]) => [name, sorted(each)]),
  );
}

/**
 * The options that make sense for a format: what another format left behind is dropped, as the server would refuse
 * it, and so is what says nothing.
 */
export function fitting(options: Options, format: Format): Options {
  const { video, audio, ...rest } = options;
  const fit: Options = { ...rest };
  const copied = video === "copy" || video === "none";
  if (format.kind === "video" && (copied || (video && format.video_codecs.includes(video)))) fit.video = video;
  const sound = fittingAudio(audio, format);
  if (sound) fit.audio = sound;
  if (format.kind === "audio" || copied) drop(fit, "max_height", "max_width", "fps", "two_pass", "bit_depth");
  if (format.kind === "audio") drop(fit, "subtitles");
  if (format.kind === "image") drop(fit, "two_pass", "bit_depth");
  if (copied && fit.subtitles === "burn") drop(fit, "subtitles");
  if (fit.bit_depth === 10 && !["hevc", "av1", "vp9"].includes(fit.video ?? format.video_codecs[0] ?? "")) {
    drop(fit, "bit_depth");
  }
  return withoutBlanks(fit);
}

function fittingAudio(audio: Options["audio"], format: Format): Options["audio"] {
  if (format.kind === "image") return undefined;
  if (audio === "none") return format.kind === "video" ? "none" : undefined;
  if (!audio) return undefined;
  const fit: AudioOptions = { ...audio };
  if (fit.codec && fit.codec !== "copy" && !format.audio_codecs.includes(fit.codec)) delete fit.codec;
  const codec = fit.codec ?? format.audio_codecs[0];
  if (codec === "copy") return { codec };
  if (codec === "flac" || codec === "pcm") delete fit.bitrate_kbps;
  return fit;
}

function drop(options: Options, ...names: (keyof Options)[]): void {
  for (const name of names) delete options[name];
}

function withoutBlanks<T extends object>(value: T): T {
  const kept = Object.entries(value)
    .map(([name, each]) => [name, each !== null && typeof each === "object" ? withoutBlanks(each) : each])
    .filter(([, each]) => each !== undefined && each !== null && each !== "" && each !== false)
    .filter(([, each]) => typeof each !== "object" || Object.keys(each).length > 0);
  return Object.fromEntries(kept) as T;
}
