/** What reaches somebody who looks elsewhere: the title of the tab, and notifications if they are allowed. */
import { computed, effect, signal } from "@preact/signals";
import { percentWords, nameOf } from "../lib/words.ts";
import { many } from "../lib/format.ts";
import type { Job } from "../api/types.ts";
import { active, onTransition } from "./jobs.ts";
import { announce } from "./notices.ts";
import { total } from "./upload-items.ts";

const NAME = "Cloud Video Conversion";

export const permission = signal<NotificationPermission | "unsupported">(
  "Notification" in window && window.isSecureContext ? Notification.permission : "unsupported",
);

export async function requestPermission(): Promise<void> {
  permission.value = await Notification.requestPermission();
}

/** How many jobs ended while the page was not looked at. */
const unseen = signal(0);

const title = computed(() => {
  const uploading = total.value;
  const converting = active.value.filter((job) => job.value.status === "PROCESSING");
  if (converting.length > 0) {
    const known = converting.map((job) => job.value.progress.percent ?? 0);
    const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
    const what = converting.length === 1 ? nameOf((converting[0] as (typeof converting)[0]).value) : many(converting.length, "conversion");
    return `${percentWords(mean)} · ${what}`;
  }
  if (uploading && uploading.size > 0) {
    return `↑ ${percentWords((uploading.sent / uploading.size) * 100)} · ${many(uploading.count, "upload")}`;
  }
  if (active.value.length > 0) return `${many(active.value.length, "conversion")} waiting`;
  return unseen.value > 0 ? `✓ ${unseen.value} ready` : "";
});

function tell(job: Job): void {
  const name = nameOf(job);
  const words = { COMPLETED: `${name} is ready`, FAILED: `${name} could not be converted`, CANCELLED: `${name} was cancelled` };
  const text = words[job.status as keyof typeof words];
  if (!text) return;
  announce(`${text}.`);
  if (document.visibilityState === "visible" || job.status === "CANCELLED") return;
  if (job.status === "COMPLETED") unseen.value += 1;
  if (permission.value !== "granted") return;
  try {
    const notification = new Notification(text, { body: job.error?.message ?? "", tag: job.job_id });
    notification.onclick = () => window.focus();
  } catch {
    // Some phones allow notifications from service workers only.
  }
}

export function watchAttention(): void {
  onTransition((job, before) => {
    if (before) tell(job);
  });
  effect(() => {
    document.title = title.value ? `${title.value} — ${NAME}` : NAME;
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") unseen.value = 0;
  });
}
