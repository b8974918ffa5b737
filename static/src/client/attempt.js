/** One try at one transport: it must come up in time, and be heard from as long as it lasts. */

const HANDSHAKE = 6_000;
const WAKE_ANSWER = 4_000;
const WAKE_SILENCE = 30_000;
/** Frames that may come before the subscription is accepted. */
const BEFORE = new Set(["hello", "error", "beat", "goodbye"]);
/** The close code for a peer that fell silent.  Ours alone: no server sends it. */
export const SILENT = 4408;

export class Attempt {
  /** @type {import("./types.d.ts").Session | null} */
  #session = null;
  #env;
  #on;
  /** @type {unknown} */
  #timer = null;
  #ended = false;
  #heardAt = 0;
  #asked = false;
  /** @type {number | null} */
  #retryAfter = null;
  /** True once the server has accepted the subscription. */
  up = false;
  /** When that was, in milliseconds since the epoch. */
  upAt = 0;

  /**
   * @param {import("./types.d.ts").Transport} transport
   * @param {(context: import("./types.d.ts").SessionContext, on: import("./types.d.ts").SessionEvents) =>
   *   import("./types.d.ts").Session} open
   * @param {import("./types.d.ts").SessionContext} context
   * @param {{up: () => void, frame: (frame: any) => void, down: (ending: import("./types.d.ts").Ending) => void}} on
   */
  constructor(transport, open, context, on) {
    this.transport = transport;
    this.#env = context.env;
    this.#on = on;
    this.#arm(HANDSHAKE, () => this.#end({ code: SILENT, reason: "no answer" }));
    try {
      this.#session = open(context, {
        message: (frame) => this.#message(frame),
        heard: () => this.#heard(),
        down: (ending) => this.#end(ending),
      });
    } catch {
      this.#env.setTimeout(() => this.#end({ code: 1006 }), 0);
    }
  }

  /** After a sleep or a change of network: is the peer still there?  If not, ends at once and not in a minute. */
  check() {
    if (!this.up || this.#ended) return;
    if (this.transport === "sse") {
      if (this.#env.now() - this.#heardAt > WAKE_SILENCE) this.#end({ code: SILENT });
      return;
    }
    this.#asked = true;
    this.#session?.ping();
    this.#arm(WAKE_ANSWER, () => this.#end({ code: SILENT }));
  }

  close() {
    this.#ended = true;
    this.#env.clearTimeout(this.#timer);
    this.#session?.close();
  }

  /** @param {any} frame */
  #message(frame) {
    if (this.#ended || frame === null || typeof frame !== "object") return;
    if (frame.type === "hello") this.#session?.expect?.(Number(frame.heartbeat_s) * 1000);
    if (frame.type === "goodbye") this.#retryAfter = Number(frame.retry_after_s) * 1000 || null;
    if (!this.up && !BEFORE.has(frame.type)) {
      this.up = true;
      this.upAt = this.#env.now();
      this.#heard();
      this.#on.up();
    }
    this.#on.frame(frame);
  }

  #heard() {
    this.#heardAt = this.#env.now();
    this.#asked = false;
    const patience = this.#session?.patience;
    if (!this.up || this.#ended || !patience) return;
    this.#arm(patience.ask, () => this.#silence(patience.giveUp));
  }

  /** @param {number} giveUp */
  #silence(giveUp) {
    if (this.#asked || giveUp === 0) return this.#end({ code: SILENT });
    this.#asked = true;
    this.#session?.ping();
    this.#arm(giveUp, () => this.#end({ code: SILENT }));
  }

  /** @param {import("./types.d.ts").Ending} ending */
  #end(ending) {
    if (this.#ended) return;
    this.close();
    this.#on.down({ ...ending, retryAfter: ending.retryAfter ?? this.#retryAfter });
  }

  /**
   * @param {number} ms
   * @param {() => void} callback
   */
  #arm(ms, callback) {
    this.#env.clearTimeout(this.#timer);
    this.#timer = this.#env.setTimeout(callback, ms);
  }
}
