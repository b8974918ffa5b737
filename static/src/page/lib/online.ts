import { signal } from "@preact/signals";

/** What the device says of its network. */
export const online = signal(navigator.onLine);

for (const name of ["online", "offline"]) window.addEventListener(name, () => (online.value = navigator.onLine));
