/** Short messages that come and go, some with a way back. */
import { signal } from "@preact/signals";

export interface Notice {
  id: number;
  text: string;
  tone: "info" | "error";
  action?: { label: string; run: () => void } | undefined;
}

export const notices = signal<Notice[]>([]);
/** What a screen reader is told without a visible message. */
export const announcement = signal("");

let next = 1;
const timers = new Map<number, { timer: ReturnType<typeof setTimeout>; done?: (() => void) | undefined }>();

interface Details {
  tone?: Notice["tone"];
  action?: Notice["action"];
  /** Called when the message has gone without its action having been taken. */
  onGone?: () => void;
}

export function notify(text: string, { tone = "info", action, onGone }: Details = {}): number {
  const id = next++;
  notices.value = [...notices.value.slice(-3), { id, text, tone, action }];
  const timer = setTimeout(() => dismiss(id), tone === "error" || action ? 8_000 : 5_000);
  timers.set(id, { timer, done: onGone });
  return id;
}

export function dismiss(id: number, { taken = false } = {}): void {
  const entry = timers.get(id);
  timers.delete(id);
  clearTimeout(entry?.timer);
  notices.value = notices.value.filter((notice) => notice.id !== id);
  if (!taken) entry?.done?.();
}

export const complain = (error: unknown) =>
  notify(error instanceof Error ? error.message : String(error), { tone: "error" });

export function announce(text: string): void {
  announcement.value = text;
}
