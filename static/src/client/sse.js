/**
 * The feed over Server-Sent Events.
 *
 * It is read with `fetch`, not `EventSource`, which hides the comments that keep an idle line open and the status
 * of a refusal, and which would reconnect on its own terms.
 */
import { endingOf } from "./http.js";
import { SseParser } from "./sse-parser.js";

/**
 * @param {import("./types.d.ts").SessionContext} context
 * @param {import("./types.d.ts").SessionEvents} on
 * @returns {import("./types.d.ts").Session}
 */
export function openSse({ url, jobs, only, after, ticket, env }, on) {
  const address = new URL(`${url}/events`);
  for (const id of jobs === "*" ? ["*"] : jobs) address.searchParams.append("job_id", id);
  if (only) address.searchParams.set("only", only);
  if (ticket) address.searchParams.set("ticket", ticket);
  const abort = new AbortController();
  let closed = false;

  /** @param {import("./types.d.ts").Ending} ending */
  const down = (ending) => {
    if (closed) return;
    closed = true;
    abort.abort();
    on.down(ending);
  };

  async function read() {
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream" };
    if (after) headers["Last-Event-ID"] = after;
    const response = await env.fetch(address.href, { headers, signal: abort.signal, cache: "no-store" });
    const isStream = response.headers.get("content-type")?.startsWith("text/event-stream");
    if (!response.ok || !isStream || !response.body) return down(endingOf(response));
    const parser = new SseParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (closed) return undefined;
      if (done) return down({ code: 1001 });
      on.heard();
      for (const event of parser.push(value)) on.message(frameOf(event));
    }
  }

  read().catch(() => down({ code: 1006 }));
  const patience = { ask: 45_000, giveUp: 0 };
  return {
    patience,
    expect(heartbeat) {
      if (heartbeat > 0) patience.ask = Math.max(10_000, 2.5 * heartbeat);
    },
    ping() {}, // one way only: the server's comments are its signs of life
    close() {
      closed = true;
      abort.abort();
    },
  };
}

/**
 * An SSE event as the frame the WebSocket would have carried.
 *
 * @param {{event: string, data: string | null, id: string | null}} event
 */
function frameOf({ event, data, id }) {
  if (data === null) return { type: "beat", cursor: id };
  try {
    const frame = JSON.parse(data);
    if (frame.type === undefined) frame.type = event;
    if (frame.cursor === undefined && id) frame.cursor = id;
    return frame;
  } catch {
    return null;
  }
}
