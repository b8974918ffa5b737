/** Messages at the bottom of the page, and the same for screen readers. */
import { announcement, dismiss, notices } from "../state/notices.ts";
import { IconButton } from "./controls.tsx";
import { Close } from "./icons.tsx";

export function Notices() {
  return (
    <>
      <div class="notices" role="status" aria-live="polite">
        {notices.value.map(({ id, text, tone, action }) => (
          <div key={id} class={`notice ${tone}`}>
            <span class="notice-text">{text}</span>
            {action && <button type="button" class="notice-action" onClick={action.run}>{action.label}</button>}
            <IconButton label="Dismiss" onClick={() => dismiss(id)}><Close size={16} /></IconButton>
          </div>
        ))}
      </div>
      <div class="visually-hidden" role="status" aria-live="polite">{announcement.value}</div>
    </>
  );
}
