/** The last resort: asks the API for the jobs again and again, and hands each answer on as a snapshot. */
import { endingOf } from "./http.js";

const EVERY = 1_500; // the contract allows progress to be two seconds old
const EVERY_HIDDEN = 5_000;
const LIMIT = 100;

/**
 * @param {import("./types.d.ts").SessionContext} context
 * @param {import("./types.d.ts").SessionEvents} on
 * @returns {import("./types.d.ts").Session}
 */
export function openPolling({ api, jobs, headers, env }, on) {
  const abort = new AbortController();
  let closed = false;
  /** @type {unknown} */
  let timer = null;

  /** @param {string} path */
  const get = (path) =>
    env.fetch(`${api}${path}`, { headers: headers(), signal: abort.signal, cache: "no-store" });

  async function ask() {
    const responses =
      jobs === "*"
        ? [await get(`/jobs?limit=${LIMIT}`)]
        : await Promise.all(jobs.map((id) => get(`/jobs/${encodeURIComponent(id)}`)));
    const refused = responses.find((response) => !response.ok && response.status !== 404);
    if (closed) return;
    if (refused) return down(endingOf(refused));
    const bodies = await Promise.all(responses.filter(({ ok }) => ok).map((response) => response.json()));
    if (closed) return;
    on.heard();
    on.message({ type: "subscribed", jobs: jobs === "*" ? bodies[0]?.jobs ?? [] : bodies, recovered: false });
    timer = env.setTimeout(tick, env.hidden() ? EVERY_HIDDEN : EVERY);
  }

  const tick = () => {
    ask().catch(() => down({ code: 1006 }));
  };

  /** @param {import("./types.d.ts").Ending} ending */
  function down(ending) {
    if (closed) return;
    closed = true;
    on.down(ending);
  }

  tick();
  return {
    patience: { ask: 20_000, giveUp: 0 },
    ping() {
      if (timer === null || closed) return;
      env.clearTimeout(timer);
      timer = null;
      tick();
    },
    close() {
      closed = true;
      abort.abort();
      env.clearTimeout(timer);
    },
  };
}
