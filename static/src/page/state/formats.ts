/** What can be asked for, from the server; until it has answered, the formats every server has. */
import { computed, signal } from "@preact/signals";
import { ApiError, getFormats } from "../api/api.ts";
import type { Format, Formats } from "../api/types.ts";

const video = (name: string, video_codecs: string[], audio_codecs: string[]): Format => ({
  name, kind: "video", video_codecs, audio_codecs,
});

const FALLBACK: Formats = {
  formats: [
    video("mp4", ["h264"], ["aac"]),
    video("webm", ["vp9"], ["opus"]),
    video("mkv", ["h264"], ["aac"]),
    video("mov", ["h264"], ["aac"]),
    { name: "gif", kind: "image", video_codecs: ["gif"], audio_codecs: [] },
    { name: "mp3", kind: "audio", video_codecs: [], audio_codecs: ["mp3"] },
  ],
};

export const offer = signal<Formats>(FALLBACK);
export const maxUploadSize = computed(() => offer.value.limits?.max_upload_size ?? null);

export const formatNamed = (name: string) => offer.value.formats.find((format) => format.name === name);

/** Whether the server knows an option; if it has not told, those of the contract are taken to be there. */
export const hasOption = (name: string) => {
  const known = offer.value.options?.properties;
  return known === undefined || name in known;
};

const AGAIN = 5_000;

export async function loadFormats(): Promise<void> {
  try {
    const answer = await getFormats();
    if (answer.formats?.length) offer.value = { ...answer, formats: answer.formats.map(complete) };
  } catch (error) {
    if (error instanceof ApiError && error.passing) setTimeout(() => void loadFormats(), AGAIN);
  }
}

function complete(format: Format): Format {
  return { ...format, video_codecs: format.video_codecs ?? [], audio_codecs: format.audio_codecs ?? [] };
}
