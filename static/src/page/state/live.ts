/** The live feed of all the user's jobs, and how it is doing. */
import { effect, signal, untracked } from "@preact/signals";
import { connect, ticketFrom } from "../../client/index.js";
import type { Connection, ConnectionState } from "../../client/types.d.ts";
import { API } from "../api/api.ts";
import { askForKey, authHeaders, key } from "../api/session.ts";
import type { Job } from "../api/types.ts";
import { loadFormats } from "./formats.ts";
import { load, takeEvent, takeJobs, takeSnapshot } from "./jobs.ts";
import type { JobNews } from "./merge.ts";

export const connection = signal<ConnectionState>({
  status: "connecting", transport: null, attempt: 0, retryAt: null,
});

let feed: Connection | null = null;

function open(): void {
  feed?.close();
  const api = `${location.origin}${API}`;
  feed = connect({
    api,
    headers: authHeaders,
    ticket: key.peek() ? ticketFrom({ api, headers: authHeaders }) : null,
    onEvent: (event) => takeEvent(event as unknown as JobNews),
    onSnapshot: ({ jobs, transport }) => {
      if (transport === "polling") return takeJobs(jobs as unknown as Job[]);
      takeSnapshot(jobs as unknown as Job[]);
      return void load(); // it knows of more than a day, and of what was deleted meanwhile
    },
    onState: (state) => {
      connection.value = state;
      if (state.status === "unauthorized") askForKey();
    },
  });
}

/** Follows the feed from now on, anew whenever somebody signs in. */
export function follow(): void {
  effect(() => {
    key.value;
    untracked(() => {
      open();
      void load();
      void loadFormats();
    });
  });
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && connection.value.status === "live") void load();
});

export const retryNow = () => feed?.retry();
