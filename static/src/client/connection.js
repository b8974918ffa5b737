/**
 * Keeps the feed alive: which transport to use, when to try again, from where to go on.
 *
 * It holds no socket itself; an `Attempt` does.  Every clock and every piece of the browser comes in through
 * `env`, so that each rule below is tested with a clock that the test turns.
 */
import { Attempt } from "./attempt.js";
import { backoff } from "./backoff.js";
import { Dedupe } from "./dedupe.js";
import { openPolling } from "./polling.js";
import { openSse } from "./sse.js";
import { openWebSocket } from "./websocket.js";

const OPENERS = { websocket: openWebSocket, sse: openSse, polling: openPolling };
const TRIES_PER_TRANSPORT = 2;
const STABLE = 10_000;
const UNAUTHORIZED = 4401;
const FORBIDDEN = 4403;
const TRY_LATER = 1013;
const GOING_AWAY = 1001;

/** @typedef {import("./types.d.ts").Transport} Transport */
/** @typedef {import("./types.d.ts").Ending} Ending */

export class FeedConnection {
  #options;
  #env;
  /** @type {Transport[]} */
  #ladder;
  #dedupe = new Dedupe();
  /** @type {Set<Transport>} */
  #knownGood = new Set();
  /** @type {Attempt | null} */
  #main = null;
  /** @type {Attempt | null} */
  #probe = null;
  #rung = 0;
  #triesHere = 0;
  #attempt = 0;
  #refusals = 0;
  #probes = 0;
  /** Rises whenever what was under way is dropped, so that a late answer finds itself outdated. */
  #generation = 0;
  /** @type {unknown} */
  #retryTimer = null;
  /** @type {unknown} */
  #probeTimer = null;
  #stopped = false;
  #stopWatching;
  /** @type {string | null} */
  #cursor;
  /** @type {import("./types.d.ts").ConnectionState} */
  #state = { status: "connecting", transport: null, attempt: 0, retryAt: null };

  /**
   * @param {Required<Pick<import("./types.d.ts").ConnectOptions, "url" | "api" | "jobs" | "transports">> &
   *   import("./types.d.ts").ConnectOptions} options
   * @param {import("./types.d.ts").Environment} env
   */
  constructor(options, env) {
    this.#options = options;
    this.#env = env;
    this.#ladder = [...options.transports];
    this.#cursor = options.after ?? null;
    this.#stopWatching = env.onWake(() => this.#wake());
    this.#open();
  }

  get state() {
    return this.#state;
  }

  get cursor() {
    return this.#cursor;
  }

  /** Tries now instead of waiting. */
  retry() {
    if (this.#stopped || this.#main?.up) return;
    this.#rung = 0;
    this.#triesHere = 0;
    this.#open();
  }

  close() {
    this.#stop("closed");
  }

  // --- attempts -----------------------------------------------------------------------------------------------

  #open() {
    this.#drop();
    this.#show({ status: this.#seeking(), retryAt: null });
    this.#launch(this.#rung, "main");
  }

  /**
   * Gets a ticket if one is needed, then opens the transport.
   *
   * @param {number} rung
   * @param {"main" | "probe"} role
   */
  async #launch(rung, role) {
    const generation = this.#generation;
    const transport = /** @type {Transport} */ (this.#ladder[rung]);
    let ticket = null;
    try {
      if (transport !== "polling" && this.#options.ticket) ticket = await this.#options.ticket();
    } catch (error) {
      const code = /** @type {{status?: number}} */ (error)?.status === 401 ? UNAUTHORIZED : 1006;
      if (generation === this.#generation) this.#ended(role, rung, null, { code });
      return;
    }
    if (generation !== this.#generation) return;
    const { url, api, jobs, only, headers = () => ({}) } = this.#options;
    const context = { url, api, jobs, only, ticket, headers, after: this.#cursor, env: this.#env };
    const attempt = new Attempt(transport, OPENERS[transport], context, {
      up: () => this.#isUp(attempt, rung),
      down: (ending) => this.#ended(attempt === this.#probe ? "probe" : "main", rung, attempt, ending),
      frame: (frame) => this.#frame(frame),
    });
    if (role === "main") this.#main = attempt;
    else this.#probe = attempt;
  }

  /**
   * @param {Attempt} attempt
   * @param {number} rung
   */
  #isUp(attempt, rung) {
    if (attempt === this.#probe) {
      this.#main?.close();
      this.#main = attempt;
      this.#probe = null;
      this.#probes = 0;
      this.#rung = rung;
    }
    this.#knownGood.add(attempt.transport);
    this.#triesHere = 0;
    this.#refusals = 0;
    this.#show({ status: "live", transport: attempt.transport, attempt: 0, retryAt: null });
    if (this.#rung > 0) this.#scheduleProbe();
  }

  /**
   * @param {"main" | "probe"} role
   * @param {number} rung
   * @param {Attempt | null} attempt
   * @param {Ending} ending
   */
  #ended(role, rung, attempt, ending) {
    if (role === "probe") {
      this.#probe = null;
      this.#climb(rung + 1);
      return;
    }
    const lasted = attempt?.up ? this.#env.now() - attempt.upAt : null;
    this.#drop();
    if (lasted !== null && lasted > STABLE) this.#attempt = 0;
    if (ending.code === UNAUTHORIZED) this.#refused();
    else if (ending.code === FORBIDDEN) this.#bar();
    else if (ending.code === TRY_LATER) this.#wait(Math.max(ending.retryAfter ?? 0, this.#delay(3)));
    else if (lasted !== null) this.#lost(ending);
    else this.#failed();
  }

  /** @param {Ending} ending of a connection that had been up */
  #lost(ending) {
    this.#rung = Math.max(0, this.#ladder.findIndex((transport) => this.#knownGood.has(transport)));
    const unasked = ending.code === GOING_AWAY ? 2_000 * this.#env.random() : 0;
    this.#wait((ending.retryAfter ?? unasked) + this.#delay());
  }

  /** An attempt did not come up: once more, then the next transport, then all of them again after a rest. */
  #failed() {
    this.#triesHere += 1;
    const patient = this.#attempt < this.#ladder.length; // later rounds try each transport once
    if (patient && this.#triesHere < TRIES_PER_TRANSPORT) return this.#wait(this.#delay());
    this.#triesHere = 0;
    this.#rung = (this.#rung + 1) % this.#ladder.length;
    return this.#rung > 0 ? this.#open() : this.#wait(this.#delay(2));
  }

  /** The ticket was not taken: it may have grown old, so one new one is tried, and then no more. */
  #refused() {
    this.#refusals += 1;
    if (this.#options.ticket && this.#refusals < 2) return this.#open();
    return this.#stop("unauthorized");
  }

  /** This page may not use this transport at all.  Another may do. */
  #bar() {
    this.#ladder.splice(this.#rung, 1);
    this.#rung = Math.min(this.#rung, this.#ladder.length - 1);
    this.#triesHere = 0;
    return this.#ladder.length > 0 ? this.#open() : this.#stop("unauthorized");
  }

  /** @param {number} ms */
  #wait(ms) {
    this.#attempt += 1;
    this.#show({ status: this.#seeking(), retryAt: this.#env.now() + ms });
    this.#retryTimer = this.#env.setTimeout(() => this.#open(), ms);
  }

  /** @param {number} [more] counts as so many attempts more */
  #delay(more = 0) {
    return backoff(this.#attempt + more, this.#env.random);
  }

  // --- getting back to a better transport ----------------------------------------------------------------------

  /** On a lower rung the better ones are tried now and then, soon if they have ever worked. */
  #scheduleProbe() {
    const worked = this.#ladder.slice(0, this.#rung).some((transport) => this.#knownGood.has(transport));
    const limits = worked ? { base: 2_000, cap: 60_000 } : { base: 20_000, cap: 300_000 };
    const ms = backoff(this.#probes, this.#env.random, limits);
    this.#env.clearTimeout(this.#probeTimer);
    this.#probeTimer = this.#env.setTimeout(() => this.#climb(0), ms);
  }

  /** @param {number} rung */
  #climb(rung) {
    if (rung < this.#rung) {
      this.#launch(rung, "probe");
    } else {
      this.#probes += 1;
      this.#scheduleProbe();
    }
  }

  // --- what comes in ------------------------------------------------------------------------------------------

  /** @param {any} frame */
  #frame(frame) {
    if (typeof frame.cursor === "string" || typeof frame.cursor === "number") this.#cursor = String(frame.cursor);
    if (frame.type === "subscribed") return this.#snapshot(frame);
    if (frame.type === "error") return this.#options.onError?.({ code: frame.code, message: frame.message });
    if (frame.job_id !== undefined && this.#dedupe.accept(frame)) this.#options.onEvent?.(frame);
    return undefined;
  }

  /** @param {any} frame */
  #snapshot(frame) {
    const jobs = frame.jobs ?? [];
    const recovered = frame.recovered === true;
    // After a recovery the missed events follow, and are not to be taken for old because of the snapshot.
    if (!recovered) for (const job of jobs) this.#dedupe.accept(job);
    const { transport } = /** @type {Attempt} */ (this.#main);
    this.#options.onSnapshot?.({ jobs, recovered, transport });
  }

  // --- the outside --------------------------------------------------------------------------------------------

  #wake() {
    if (this.#stopped) return;
    if (this.#main?.up) {
      this.#main.check();
      if (this.#rung > 0 && this.#probe === null && this.#env.online()) this.#climb(0);
    } else if (this.#state.retryAt !== null) {
      this.retry();
    }
  }

  #seeking() {
    if (!this.#env.online()) return /** @type {const} */ ("offline");
    return this.#knownGood.size > 0 ? /** @type {const} */ ("reconnecting") : /** @type {const} */ ("connecting");
  }

  /** @param {Partial<import("./types.d.ts").ConnectionState>} change */
  #show(change) {
    const next = { ...this.#state, transport: null, attempt: this.#attempt, ...change };
    const same = Object.entries(next).every(([key, value]) => /** @type {any} */ (this.#state)[key] === value);
    this.#state = next;
    if (!same) this.#options.onState?.(next);
  }

  /** Lets go of everything under way. */
  #drop() {
    this.#generation += 1;
    this.#env.clearTimeout(this.#retryTimer);
    this.#env.clearTimeout(this.#probeTimer);
    this.#main?.close();
    this.#probe?.close();
    this.#main = this.#probe = null;
  }

  /** @param {"closed" | "unauthorized"} status */
  #stop(status) {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#drop();
    this.#stopWatching();
    this.#show({ status, retryAt: null });
  }
}
