/** Sizes, times and numbers in the reader's own locale.  Pure, but for the locale. */

const locale = globalThis.navigator?.languages as string[] | undefined;

const number = (options: Intl.NumberFormatOptions) => new Intl.NumberFormat(locale, options);
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** `1.2 MB`: decimal units, as disks and file managers count. */
export function bytes(count: number): string {
  const power = Math.min(UNITS.length - 1, count < 1000 ? 0 : Math.floor(Math.log10(count) / 3));
  const value = count / 1000 ** power;
  const digits = power === 0 || value >= 99.5 ? 0 : 1;
  return number({
    style: "unit", unit: UNITS[power] as string, unitDisplay: power === 0 ? "long" : "short",
    maximumFractionDigits: digits,
  }).format(value);
}

export const rate = (perSecond: number) => `${bytes(perSecond)}/s`;

export const percent = (value: number, digits = 0) =>
  number({ style: "percent", maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value / 100);

export const plain = (value: number, digits = 0) => number({ maximumFractionDigits: digits }).format(value);

const unit = (value: number, name: string) =>
  number({ style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: 0 }).format(value);

/** `45 sec`, `2 min 5 sec`, `1 hr 3 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return unit(whole, "second");
  if (whole < 3600) {
    const rest = whole % 60;
    return rest && whole < 600 ? `${unit(Math.floor(whole / 60), "minute")} ${unit(rest, "second")}` : unit(Math.round(whole / 60), "minute");
  }
  const minutes = Math.round(whole / 60);
  return `${unit(Math.floor(minutes / 60), "hour")} ${unit(minutes % 60, "minute")}`;
}

/** `1:05` or `1:02:03`, as players show a position. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const pad = (value: number) => String(value).padStart(2, "0");
  return hours ? `${hours}:${pad(minutes)}:${pad(rest)}` : `${minutes}:${pad(rest)}`;
}

const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [["day", 86_400], ["hour", 3_600], ["minute", 60]];

/** `2 minutes ago`, `yesterday`. */
export function ago(iso: string, now: number): string {
  const seconds = (now - Date.parse(iso)) / 1000;
  if (Number.isNaN(seconds)) return "";
  for (const [name, size] of STEPS) if (seconds >= size) return relative.format(-Math.floor(seconds / size), name);
  return "just now";
}

export const moment = (iso: string) =>
  new Date(iso).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });

/** `1st`, `2nd`, `3rd`: English, as the page is. */
export function ordinal(value: number): string {
  const ending = { one: "st", two: "nd", few: "rd", other: "th" } as Record<string, string>;
  return `${value}${ending[new Intl.PluralRules("en", { type: "ordinal" }).select(value)] ?? "th"}`;
}

export const many = (count: number, one: string, more = `${one}s`) => `${plain(count)} ${count === 1 ? one : more}`;

/** What share of its size a file lost (negative) or gained, as `-83%`; what is there has never lost all of it.  Empty for hardly any. */
export function change(before: number, after: number): string {
  const share = Math.max(after / before - 1, -0.99);
  if (Math.abs(share) < 0.01) return "";
  return number({ style: "percent", maximumFractionDigits: 0, signDisplay: "exceptZero" }).format(share);
}
