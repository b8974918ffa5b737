/** Reads what people type into fields.  Pure. */

/** Seconds from `90`, `1:30`, `1:02:03.5`; null if it is no time. */
export function parseClock(text: string): number | null {
  const parts = text.trim().replace(",", ".").split(":");
  if (parts.length > 3 || !parts.every((part) => /^\d+(\.\d+)?$/.test(part))) return null;
  return parts.reduce((seconds, part) => seconds * 60 + Number(part), 0);
}

/** A number, brought into its limits; null if it is none. */
export function parseNumber(text: string, least: number, most: number): number | null {
  const value = Number(text.trim().replace(",", "."));
  return text.trim() === "" || Number.isNaN(value) ? null : Math.min(most, Math.max(least, value));
}
