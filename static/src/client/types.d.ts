/** Shapes shared by the modules of the push client.  Types only: nothing here exists at run time. */

/** How the feed arrives.  The client tries them in this order. */
export type Transport = "websocket" | "sse" | "polling";

/**
 * - `connecting`: the first attempt is under way
 * - `live`: events arrive, over `transport`
 * - `reconnecting`: the feed was lost and is being sought again
 * - `offline`: the same, and the device says it has no network
 * - `unauthorized`: the server wants credentials it was not given; the client has stopped
 * - `closed`: `close()` was called
 */
export type Status = "connecting" | "live" | "reconnecting" | "offline" | "unauthorized" | "closed";

export interface ConnectionState {
  status: Status;
  /** What the feed arrives over, null unless `live`. */
  transport: Transport | null;
  /** Attempts since the feed was last live. */
  attempt: number;
  /** When the next attempt is due, in milliseconds since the epoch; null while one is under way or none is due. */
  retryAt: number | null;
}

/** A job as the API shows it.  Fields not named here are passed through untouched. */
export interface JobLike {
  job_id: string;
  attempt?: number;
  seq?: number;
  [field: string]: unknown;
}

/** An event of one job: the fields that changed, and what the push protocol adds. */
export interface JobEvent extends JobLike {
  type: string;
  cursor?: string;
}

export interface Snapshot {
  jobs: JobLike[];
  /** False if events may have been missed, so that only this snapshot is to be trusted. */
  recovered: boolean;
  transport: Transport;
}

export interface ConnectOptions {
  /** Where the push service is: `/ws` and `/events` are below it.  Default: the page's own origin. */
  url?: string;
  /** Where the API is, for polling.  Default: `{url}/api`. */
  api?: string;
  /** All of the caller's jobs, or some by id.  Default: `"*"`. */
  jobs?: "*" | string[];
  /** `"terminal"`: no more than how the jobs end.  Default: everything. */
  only?: "terminal";
  /** A cursor kept from an earlier connection, to be told what happened since. */
  after?: string | null;
  /** Called before each attempt for a one-time ticket; null means none is needed. */
  ticket?: (() => Promise<string | null>) | null;
  /** Headers for polling, such as `Authorization`; asked for at each request. */
  headers?: () => Record<string, string>;
  /** The transports to use, best first. */
  transports?: Transport[];
  onEvent?: (event: JobEvent) => void;
  onSnapshot?: (snapshot: Snapshot) => void;
  onState?: (state: ConnectionState) => void;
  /** What the server complained about, as `{code, message}`. */
  onError?: (error: { code: string; message: string }) => void;
  /** Stand-ins for the browser, for tests. */
  env?: Partial<Environment>;
}

/** What the client needs of the browser. */
export interface Environment {
  WebSocket: typeof WebSocket | undefined;
  fetch: typeof fetch;
  setTimeout: (callback: () => void, ms: number) => unknown;
  clearTimeout: (timer: any) => void;
  now: () => number;
  random: () => number;
  online: () => boolean;
  hidden: () => boolean;
  /** Calls back when the device wakes, comes online or shows the page again; returns the way to stop it. */
  onWake: (callback: () => void) => () => void;
}

/** Why a session ended.  `code` follows the close codes of the push protocol, whatever the transport. */
export interface Ending {
  code: number;
  reason?: string;
  /** The server's own wish for the wait before the next attempt, in milliseconds. */
  retryAfter?: number | null;
}

/** What a transport tells the connection. */
export interface SessionEvents {
  message: (frame: any) => void;
  /** Anything at all was heard, so the peer lives. */
  heard: () => void;
  down: (ending: Ending) => void;
}

/** One connection attempt over one transport, and the connection it became. */
export interface Session {
  /** Asks the peer for a sign of life, where the transport can. */
  ping: () => void;
  close: () => void;
  /** The server has said how often it gives a sign of life, in milliseconds. */
  expect?: (heartbeat: number) => void;
  /** How long silence may last before the peer is asked, and then given up, in milliseconds; null: forever. */
  patience: { ask: number; giveUp: number } | null;
}

export interface SessionContext {
  url: string;
  api: string;
  jobs: "*" | string[];
  only: "terminal" | undefined;
  after: string | null;
  ticket: string | null;
  headers: () => Record<string, string>;
  env: Environment;
}

export interface Connection {
  readonly state: ConnectionState;
  /** The place reached in the feed; hand it to `connect` as `after` to go on from there. */
  readonly cursor: string | null;
  /** Tries again now instead of waiting. */
  retry: () => void;
  close: () => void;
}
