/** The feed over a WebSocket: subscribe frames out, events in. */

/**
 * @param {import("./types.d.ts").SessionContext} context
 * @param {import("./types.d.ts").SessionEvents} on
 * @returns {import("./types.d.ts").Session}
 */
export function openWebSocket({ url, jobs, only, after, ticket, env }, on) {
  if (!env.WebSocket) throw new Error("WebSocket is not available here");
  const address = new URL(`${url}/ws`);
  address.protocol = address.protocol.replace("http", "ws");
  if (ticket) address.searchParams.set("ticket", ticket);
  const socket = new env.WebSocket(address.href);
  let closed = false;

  /** @param {import("./types.d.ts").Ending} ending */
  const down = (ending) => {
    if (closed) return;
    closed = true;
    on.down(ending);
  };
  socket.onopen = () => {
    const which = jobs === "*" ? { job_id: "*" } : { job_ids: jobs };
    socket.send(JSON.stringify({ type: "subscribe", ...which, ...(after ? { after } : {}), ...(only ? { only } : {}) }));
  };
  socket.onmessage = ({ data }) => {
    if (closed) return;
    on.heard();
    on.message(parse(data));
  };
  socket.onclose = ({ code, reason }) => down({ code, reason });
  socket.onerror = () => {}; // a close always follows, and says more

  return {
    patience: { ask: 20_000, giveUp: 10_000 },
    ping() {
      if (socket.readyState === 1) socket.send('{"type":"ping"}');
    },
    close() {
      closed = true;
      socket.close(1000);
    },
  };
}

/** @param {unknown} data */
function parse(data) {
  try {
    return JSON.parse(String(data));
  } catch {
    return null;
  }
}
