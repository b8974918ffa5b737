/** What new files become, remembered from one visit to the next. */
import { signal } from "@preact/signals";
import type { Choice } from "../lib/choice.ts";

const STORED = "cvc.choice";

function remembered(): Choice {
  try {
    const { format, options } = JSON.parse(localStorage.getItem(STORED) ?? "{}");
    if (typeof format === "string") return { format, options: options ?? {} };
  } catch {
    // What is stored there is not ours, or from a time when it looked otherwise.
  }
  return { format: "mp4", options: {} };
}

/** What new files become. */
export const defaultChoice = signal<Choice>(remembered());
/** Whether a conversion starts by itself as soon as its file is uploaded. */
export const autoStart = signal(localStorage.getItem("cvc.auto") !== "no");

export function setDefaultChoice(choice: Choice): void {
  defaultChoice.value = choice;
  localStorage.setItem(STORED, JSON.stringify(choice));
}

export function setAutoStart(yes: boolean): void {
  autoStart.value = yes;
  localStorage.setItem("cvc.auto", yes ? "yes" : "no");
}
