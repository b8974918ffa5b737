/** Who is using the page.  With `AUTH=none` nobody is asked; otherwise an access key is, once a browser session. */
import { signal } from "@preact/signals";

const STORED = "cvc.key";

export const key = signal<string | null>(sessionStorage.getItem(STORED));
export const keyWanted = signal(false);

export function authHeaders(): Record<string, string> {
  return key.value ? { Authorization: `Bearer ${key.value}` } : {};
}

/** The server has refused: either there is no key yet, or it is not (or no longer) good. */
export function askForKey(): void {
  keyWanted.value = true;
}

export function signIn(value: string): void {
  sessionStorage.setItem(STORED, value);
  key.value = value;
  keyWanted.value = false;
}
