/** A browser made of paper: the test turns the clock, and answers each socket and request by hand. */

export class FakeClock {
  time = 1_000_000;
  #timers = new Map();
  #next = 1;

  setTimeout = (callback, ms) => {
    this.#timers.set(this.#next, { callback, at: this.time + ms });
    return this.#next++;
  };

  clearTimeout = (id) => void this.#timers.delete(id);

  /** Lets `ms` pass, firing what falls due in order, with the promises in between settled. */
  async pass(ms) {
    const end = this.time + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.time = Math.max(this.time, due[1].at);
      due[1].callback();
      await settle();
    }
    this.time = end;
  }
}

/** Lets everything that is only waiting for a promise go on. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export class FakeSocket {
  readyState = 0;
  sent = [];
  closedWith = null;

  constructor(url) {
    this.url = new URL(url);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    this.closedWith = code;
    this.readyState = 3;
  }

  // What the server does:
  accept() {
    this.readyState = 1;
    this.onopen();
  }

  say(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }

  end(code, reason = "") {
    this.readyState = 3;
    this.onclose({ code, reason });
  }
}

export function fakeBrowser({ online = true } = {}) {
  const clock = new FakeClock();
  const browser = {
    clock,
    sockets: [],
    requests: [],
    online,
    wake: () => {},
    get socket() {
      return browser.sockets.at(-1);
    },
    /** The newest request whose path is `path`. */
    request: (path) => browser.requests.filter((each) => each.url.pathname === path).at(-1),
    count: (path) => browser.requests.filter((each) => each.url.pathname === path).length,
  };
  browser.env = {
    WebSocket: class extends FakeSocket {
      constructor(url) {
        super(url);
        browser.sockets.push(this);
      }
    },
    fetch: (url, init) =>
      new Promise((resolve, reject) => {
        init?.signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
        browser.requests.push({
          url: new URL(url), init, reject,
          json: (body, status = 200, headers = {}) => resolve(Response.json(body, { status, headers })),
          stream() {
            const { readable, writable } = new TransformStream();
            const writer = writable.getWriter();
            resolve(new Response(readable, { headers: { "content-type": "text/event-stream" } }));
            return {
              write: (text) => writer.write(new TextEncoder().encode(text)),
              end: () => writer.close(),
            };
          },
        });
      }),
    setTimeout: clock.setTimeout,
    clearTimeout: clock.clearTimeout,
    now: () => clock.time,
    random: () => 0.5,
    online: () => browser.online,
    hidden: () => false,
    onWake: (callback) => {
      browser.wake = callback;
      return () => (browser.wake = () => {});
    },
  };
  return browser;
}
