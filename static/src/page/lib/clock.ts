import { signal } from "@preact/signals";

/** The present, for "2 minutes ago": it moves on by itself, and when the page is shown again. */
export const now = signal(Date.now());

const tick = () => {
  now.value = Date.now();
};
setInterval(tick, 20_000);
document.addEventListener("visibilitychange", tick);
