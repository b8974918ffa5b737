import assert from "node:assert/strict";
import { test } from "node:test";
import { fitting, PRESETS, presetOf, sameChoice } from "../src/page/lib/choice.ts";
import { bytes, change, clock, duration, ordinal } from "../src/page/lib/format.ts";
import { parseClock, parseNumber } from "../src/page/lib/parse.ts";
import { connectionWords, nameOf, optionWords } from "../src/page/lib/words.ts";
import { merge } from "../src/page/state/merge.ts";

const queued = merge(undefined, {
  type: "job.queued", job_id: "a", attempt: 1, seq: 1, status: "QUEUED", time: "2026-01-01T00:00:00.000Z",
  filename: "a.avi", input_path: "uploads/a.avi", output_format: "mp4", output_path: "processed/a.mp4",
});
const progress = (seq, percent, more = {}) => ({
  type: "job.progress", job_id: "a", attempt: 1, seq, status: "PROCESSING", stage: "transcoding", progress: { percent }, ...more,
});

test("events build a job up, in whatever order they come", () => {
  const later = merge(queued, progress(5, 40));
  assert.equal(later.progress.percent, 40);
  assert.equal(later.filename, "a.avi");
  assert.equal(merge(later, progress(4, 30)), later, "an older event changes nothing");
  assert.equal(merge(later, progress(5, 40)), later, "nor does the same again");
});

test("what has ended stays ended, until a new attempt", () => {
  const failed = merge(queued, { type: "job.failed", job_id: "a", attempt: 1, seq: 9, status: "FAILED", error: { code: "internal", message: "x" } });
  assert.equal(merge(failed, progress(10, 50)), failed);
  assert.equal(failed.stage, null);
  const again = merge(failed, { type: "job.queued", job_id: "a", attempt: 2, seq: 11, status: "QUEUED" });
  assert.equal(again.status, "QUEUED");
  assert.equal(again.error, null);
  assert.equal(again.filename, "a.avi");
  assert.equal(again.progress.percent, null);
  assert.equal(merge(again, progress(99, 50)), again, "events of the attempt before are too late");
});

test("a whole job from the API wins over the same number of events, and loses to more", () => {
  const whole = { ...queued, seq: 5, status: "PROCESSING", updated_at: "2026-01-01T00:00:05.000Z" };
  assert.equal(merge(queued, whole).status, "PROCESSING");
  const ahead = merge(queued, progress(7, 70));
  assert.equal(merge(ahead, whole), ahead);
});

test("options that another format left behind are dropped", () => {
  const mp4 = { name: "mp4", kind: "video", video_codecs: ["h264", "hevc"], audio_codecs: ["aac", "mp3"] };
  const webm = { name: "webm", kind: "video", video_codecs: ["vp9"], audio_codecs: ["opus"] };
  const mp3 = { name: "mp3", kind: "audio", video_codecs: [], audio_codecs: ["mp3"] };
  const gif = { name: "gif", kind: "image", video_codecs: ["gif"], audio_codecs: [] };
  const wishes = {
    video: "hevc", max_height: 720, fps: 25, quality: "best", subtitles: "burn", trim: { start_s: 3, end_s: undefined },
    audio: { codec: "aac", bitrate_kbps: 128, normalize: false },
  };
  assert.deepEqual(fitting(wishes, mp4), { ...wishes, trim: { start_s: 3 }, audio: { codec: "aac", bitrate_kbps: 128 } });
  assert.deepEqual(fitting(wishes, webm), {
    max_height: 720, fps: 25, quality: "best", subtitles: "burn", trim: { start_s: 3 }, audio: { bitrate_kbps: 128 },
  });
  assert.deepEqual(fitting(wishes, mp3), { quality: "best", trim: { start_s: 3 }, audio: { bitrate_kbps: 128 } });
  assert.deepEqual(fitting(wishes, gif), { max_height: 720, fps: 25, quality: "best", subtitles: "burn", trim: { start_s: 3 } });
  assert.deepEqual(fitting({ ...wishes, video: "copy" }, mp4).max_height, undefined);
  assert.deepEqual(fitting({ audio: "none" }, mp3), {});
});

test("every preset is known again, whatever the order of its options", () => {
  for (const preset of PRESETS) assert.equal(presetOf({ format: preset.format, options: preset.options }), preset);
  assert.ok(sameChoice({ format: "mp4", options: { a: 1, b: 2 } }, { format: "mp4", options: { b: 2, a: 1 } }));
  assert.equal(presetOf({ format: "mp4", options: { fps: 3 } }), undefined);
});

test("sizes and times as people write them", () => {
  assert.equal(bytes(0), "0 bytes");
  assert.equal(bytes(1), "1 byte");
  assert.match(bytes(1_234_567), /^1[.,]2 MB$/);
  assert.match(bytes(999_600), /^1,?000 kB$|^999\.6 kB$/);
  assert.equal(clock(3723), "1:02:03");
  assert.equal(clock(65), "1:05");
  assert.equal(duration(125), "2 min 5 sec");
  assert.equal(duration(3_780), "1 hr 3 min");
  assert.equal(change(100, 0.1), "-99%");
  assert.equal(change(100, 150), "+50%");
  assert.equal(change(1000, 1001), "");
  assert.deepEqual([1, 2, 3, 4, 11, 22].map(ordinal), ["1st", "2nd", "3rd", "4th", "11th", "22nd"]);
});

test("what is typed is read kindly", () => {
  assert.deepEqual(["90", "1:30", "1:02:03.5", "0,5", "x", "1:2:3:4", ""].map(parseClock), [90, 90, 3723.5, 0.5, null, null, null]);
  assert.deepEqual(["5", "100", "-1", "", "x"].map((text) => parseNumber(text, 0, 63)), [5, 63, 0, null, null]);
});

test("words for what is there", () => {
  assert.equal(nameOf({ filename: null, input_path: "uploads/x.avi", job_id: "a" }), "x.avi");
  assert.deepEqual(optionWords({ max_height: 720, trim: { start_s: 5 }, audio: "none" }), ["at most 720 px high", "0:05 to the end", "no sound"]);
  const live = { status: "live", attempt: 0, retryAt: null };
  assert.equal(connectionWords({ ...live, transport: "websocket" }).short, "Live");
  assert.equal(connectionWords({ ...live, transport: "sse" }).short, "Live (SSE)");
  assert.equal(connectionWords({ ...live, transport: "polling" }).short, "Polling");
});
