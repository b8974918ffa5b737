/** What the states of jobs, uploads and the connection are called on the page.  Pure. */
import type { ConnectionState } from "../../client/types.d.ts";
import type { Job, Options, Stage } from "../api/types.ts";
import { clock, duration, percent, plain } from "./format.ts";

const STAGES: Record<Stage, string> = {
  downloading: "Fetching the file",
  probing: "Looking at the file",
  transcoding: "Converting",
  uploading: "Storing the result",
};

export const stageWords = (job: Job) => (job.stage ? STAGES[job.stage] ?? "Working" : "Starting");

/** `55 frames/s`, `1.9× as fast as it plays`, `31 sec left`, as far as known. */
export function paceWords({ progress: { fps, speed, eta_s } }: Job): string[] {
  return [
    eta_s === null || eta_s < 1 ? "" : `${duration(eta_s)} left`,
    speed ? `${plain(speed, speed < 10 ? 1 : 0)}× speed` : "",
    fps ? `${plain(fps)} fps` : "",
  ].filter(Boolean);
}

export const percentWords = (value: number | null) => (value === null ? "" : percent(Math.floor(value)));

/** Names are data: where there is none, the object's own. */
export const nameOf = (job: Pick<Job, "filename" | "input_path" | "job_id">) =>
  job.filename || job.input_path.split("/").pop() || job.job_id;

const CODECS: Record<string, string> = {
  h264: "H.264", hevc: "H.265", av1: "AV1", vp9: "VP9", vp8: "VP8", mpeg4: "MPEG-4", aac: "AAC", mp3: "MP3",
  opus: "Opus", vorbis: "Vorbis", flac: "FLAC", gif: "GIF", webp: "WebP", pcm: "PCM",
};

export const codecName = (codec: string | null) => (codec ? (CODECS[codec] ?? codec) : "unknown");

/** The options that were asked for, each in a few words. */
export function optionWords(options: Options): string[] {
  const { quality, max_height, max_width, fps, trim, video, audio, subtitles, two_pass, metadata } = options;
  const sound = typeof audio === "object" && audio ? audio : {};
  return [
    quality === undefined ? "" : typeof quality === "number" ? `rate factor ${quality}` : `quality ${quality}`,
    max_height ? `at most ${max_height} px high` : "",
    max_width ? `at most ${max_width} px wide` : "",
    fps ? `${plain(fps, 2)} fps` : "",
    trim ? `${clock(trim.start_s ?? 0)} to ${trim.end_s === undefined ? "the end" : clock(trim.end_s)}` : "",
    video ? (video === "none" ? "no picture" : `picture ${video === "copy" ? "kept" : codecName(video)}`) : "",
    audio === "none" ? "no sound" : "",
    sound.codec ? `sound ${sound.codec === "copy" ? "kept" : codecName(sound.codec)}` : "",
    sound.bitrate_kbps ? `${sound.bitrate_kbps} kbit/s` : "",
    sound.channels ? (sound.channels === 1 ? "mono" : sound.channels === 2 ? "stereo" : `${sound.channels} channels`) : "",
    sound.normalize ? "loudness evened out" : "",
    subtitles === "drop" ? "no subtitles" : subtitles === "burn" ? "subtitles drawn in" : "",
    two_pass ? "two passes" : "",
    metadata === "strip" ? "metadata removed" : "",
  ].filter(Boolean);
}

export interface ConnectionWords {
  short: string;
  long: string;
  tone: "good" | "fair" | "bad";
}

export function connectionWords({ status, transport }: ConnectionState): ConnectionWords {
  if (status === "live" && transport === "websocket") {
    return { tone: "good", short: "Live", long: "Changes show the moment they happen." };
  }
  if (status === "live" && transport === "sse") {
    return { tone: "good", short: "Live (SSE)", long: "WebSockets are blocked here, so changes come as server-sent events. Nothing is missed." };
  }
  if (status === "live") {
    return { tone: "fair", short: "Polling", long: "A live connection can’t be opened, so the page asks every 2 seconds." };
  }
  if (status === "offline") {
    return { tone: "bad", short: "Offline", long: "This device is offline. Conversions go on; the page catches up when it is back." };
  }
  if (status === "unauthorized") {
    return { tone: "bad", short: "Not signed in", long: "The server wants an access key." };
  }
  if (status === "connecting") return { tone: "fair", short: "Connecting…", long: "Opening the live connection." };
  return { tone: "fair", short: "Reconnecting…", long: "The connection was lost. Conversions go on; the page catches up when it is back." };
}
