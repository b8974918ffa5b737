/** The top of the page: its name, whether it may notify, and how the connection is. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { askForKey } from "../api/session.ts";
import { connectionWords } from "../lib/words.ts";
import { connection, retryNow } from "../state/live.ts";
import { permission, requestPermission } from "../state/attention.ts";
import { Bell } from "./icons.tsx";

export function Header() {
  return (
    <header class="top">
      <div class="brand">
        <svg class="logo" viewBox="0 0 32 32" width="30" height="30" aria-hidden="true">
          <rect width="32" height="32" rx="9" />
          <path class="logo-play" d="M12 9.6v12.8a1 1 0 0 0 1.5.87l10.8-6.4a1 1 0 0 0 0-1.74L13.5 8.73A1 1 0 0 0 12 9.6Z" />
          <path class="logo-bar" d="M7 11v10" />
        </svg>
        <h1>Cloud Video Conversion</h1>
      </div>
      <div class="top-end">
        <NotifyButton />
        <ConnectionBadge />
      </div>
    </header>
  );
}

function NotifyButton() {
  if (permission.value !== "default") return null;
  return (
    <button type="button" class="quiet-button" onClick={() => void requestPermission()}>
      <Bell size={18} /> <span class="wide-only">Notify me</span>
      <span class="narrow-only visually-hidden">Notify me when conversions are done</span>
    </button>
  );
}

function ConnectionBadge() {
  const open = useSignal(false);
  const wrapper = useRef<HTMLDivElement>(null);
  const { short, long, tone } = connectionWords(connection.value);
  const waiting = connection.value.retryAt !== null;

  useEffect(() => {
    const away = (event: Event) => {
      if (!wrapper.current?.contains(event.target as Node)) open.value = false;
    };
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, []);

  return (
    <div class="badge-wrapper" ref={wrapper}
      onKeyDown={(event) => {
        if (event.key === "Escape") open.value = false;
      }}>
      <button type="button" class={`badge ${tone}`} aria-expanded={open.value} aria-controls="connection-details"
        onClick={() => (open.value = !open.value)}>
        <span class="dot" aria-hidden="true" />
        <span class="visually-hidden">Connection: </span>
        <span data-testid="connection">{short}</span>
      </button>
      <div class="popover" id="connection-details" hidden={!open.value}>
        <p>{long}</p>
        {connection.value.status === "unauthorized" && <button type="button" class="button small" onClick={askForKey}>Sign in</button>}
        {waiting && <button type="button" class="button small" onClick={retryNow}>Try now</button>}
      </div>
    </div>
  );
}
