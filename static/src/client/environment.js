/**
 * What the client needs of the browser, in one place, so that tests can put their own in its stead.
 *
 * @returns {import("./types.d.ts").Environment}
 */
export function browserEnvironment() {
  return {
    WebSocket: globalThis.WebSocket,
    fetch: (input, init) => globalThis.fetch(input, init),
    setTimeout: (callback, ms) => globalThis.setTimeout(callback, ms),
    clearTimeout: (timer) => globalThis.clearTimeout(timer),
    now: () => Date.now(),
    random: () => Math.random(),
    online: () => globalThis.navigator?.onLine !== false,
    hidden: () => globalThis.document?.visibilityState === "hidden",
    onWake: watchForWaking,
  };
}

const TICK = 5_000;

/**
 * A laptop that slept fires no event: it shows in a clock that jumped.
 *
 * @param {() => void} wake
 */
function watchForWaking(wake) {
  let last = Date.now();
  const clock = setInterval(() => {
    const jumped = Date.now() - last > 3 * TICK;
    last = Date.now();
    if (jumped) wake();
  }, TICK);
  const shown = () => {
    if (globalThis.document?.visibilityState !== "hidden") wake();
  };
  const stop = new AbortController();
  const { signal } = stop;
  globalThis.document?.addEventListener("visibilitychange", shown, { signal });
  for (const name of ["online", "offline", "pageshow"]) {
    globalThis.window?.addEventListener(name, wake, { signal });
  }
  return () => {
    clearInterval(clock);
    stop.abort();
  };
}
