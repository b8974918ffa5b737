/**
 * The push client of the Cloud Video Conversion System: follow jobs live, from any page, with no dependency.
 *
 *     import { connect } from "./client.js";
 *
 *     const feed = connect({
 *       url: "https://videos.example",
 *       jobs: ["550e8400-e29b-41d4-a716-446655440000"],   // or "*", all of yours
 *       onSnapshot: ({ jobs }) => jobs.forEach(show),
 *       onEvent: (event) => update(event.job_id, event),
 *       onState: ({ status, transport }) => badge(status, transport),
 *     });
 *     // … feed.close()
 *
 * It uses a WebSocket, Server-Sent Events where those are blocked, and polling where those are blocked too; comes
 * back by itself with jittered backoff, from the cursor it had reached, so that no event is missed and none is
 * given twice; notices a peer that fell silent and a laptop that slept; and says in `onState` which it is on.
 *
 * README.md beside this file tells all options.
 *
 * @module
 */
import { FeedConnection } from "./connection.js";
import { browserEnvironment } from "./environment.js";

/**
 * @param {import("./types.d.ts").ConnectOptions} [options]
 * @returns {import("./types.d.ts").Connection}
 */
export function connect(options = {}) {
  const url = (options.url ?? globalThis.location?.origin ?? "").replace(/\/$/, "");
  const env = { ...browserEnvironment(), ...options.env };
  const complete = {
    ...options,
    url,
    api: options.api ?? `${url}/api`,
    jobs: options.jobs ?? /** @type {const} */ ("*"),
    transports: options.transports ?? /** @type {const} */ (["websocket", "sse", "polling"]),
  };
  return new FeedConnection(/** @type {any} */ (complete), env);
}

/**
 * A `ticket` option for servers that ask who is there: trades the caller's credentials for a one-time ticket.
 *
 * @param {{api: string, headers: () => Record<string, string>, fetch?: typeof globalThis.fetch}} from
 * @returns {() => Promise<string>}
 */
export function ticketFrom({ api, headers, fetch = globalThis.fetch.bind(globalThis) }) {
  return async () => {
    const response = await fetch(`${api}/ws/ticket`, { method: "POST", headers: headers() });
    if (!response.ok) throw Object.assign(new Error("No ticket was given"), { status: response.status });
    return (await response.json()).ticket;
  };
}
