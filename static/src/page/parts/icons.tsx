/** The page's icons: 24 × 24 strokes in the colour of the text around them, and never the only carrier of a meaning. */
import type { ComponentChildren } from "preact";

function icon(children: ComponentChildren) {
  return ({ size = 20 }: { size?: number }) => (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor"
      stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export const Play = icon(<path d="M8 5.8v12.4a.8.8 0 0 0 1.2.7l10-6.2a.8.8 0 0 0 0-1.4l-10-6.2a.8.8 0 0 0-1.2.7Z" fill="currentColor" stroke="none" />);
export const Pause = icon(<path d="M9 6v12M15 6v12" stroke-width="2.4" />);
export const Download = icon(<path d="M12 4v11m0 0 4.5-4.5M12 15l-4.5-4.5M5 19.5h14" />);
export const Upload = icon(<path d="M12 19V7m0 0L7.5 11.5M12 7l4.5 4.5M5 4.5h14" />);
export const Close = icon(<path d="m6.5 6.5 11 11m0-11-11 11" />);
export const Retry = icon(<path d="M19.5 12a7.5 7.5 0 1 1-2.3-5.4M19.5 4v4h-4" />);
export const Trash = icon(<path d="M5 7h14M10 7V5h4v2m-7.5 0 .8 12h9.4l.8-12M10.2 10.5v5.5m3.6-5.5v5.5" />);
export const Chevron = icon(<path d="m7 10 5 5 5-5" />);
export const Search = icon(<><circle cx="11" cy="11" r="6" /><path d="m19.5 19.5-4.2-4.2" /></>);
export const Clock = icon(<><circle cx="12" cy="12" r="7.5" /><path d="M12 8v4.3l2.8 1.7" /></>);
export const Alert = icon(<><circle cx="12" cy="12" r="8" /><path d="M12 8v4.6m0 3v.1" /></>);
export const Warning = icon(<path d="M12 9.5v4m0 2.8v.1M10.6 4.9 3.7 17a1.6 1.6 0 0 0 1.4 2.4h13.8a1.6 1.6 0 0 0 1.4-2.4L13.4 4.9a1.6 1.6 0 0 0-2.8 0Z" />);
export const Stopped = icon(<><circle cx="12" cy="12" r="8" /><path d="m6.5 6.5 11 11" /></>);
export const Film = icon(<><rect x="4" y="5.5" width="16" height="13" rx="2.5" /><path d="M8.5 5.5v13m7-13v13M4 12h16M4 8.8h4.5M4 15.2h4.5m7-6.4H20m-4.5 6.400H20" /></>);
export const Sound = icon(<path d="M4 10.500v3m4-6v9m4-12v15m4-11v7m4-5v3" stroke-width="2" />);
export const Bell = icon(<path d="M6.5 16.500v-5.500a5.5 5.5 0 0 1 11 0v5.500l1.5 1.500h-14zM10.3 20.200h3.4" />);
export const Sliders = icon(<path d="M4 8h8m4 0h4M4 16h2m4 0h10M14 5.800v4.400M8 13.800v4.4" />);
export const Check = icon(<path d="m5.5 12.5 4.2 4.2 8.8-9.2" stroke-width="2" />);
export const Again = icon(<path d="M4.5 9.500h12.200m0 0-3.2-3.200m3.2 3.2-3.2 3.200M19.5 15.500H8.700m0 0 2.8 2.800m-2.8-2.8 2.8-2.8" />);
