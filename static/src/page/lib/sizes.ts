/** How large the inputs were, as far as this browser uploaded them: the API does not always tell. */

import type { Job } from "../api/types.ts";

const STORED = "cvc.sizes";
const MOST = 500;

let sizes: Record<string, number> | null = null;

function all(): Record<string, number> {
  try {
    sizes ??= JSON.parse(localStorage.getItem(STORED) ?? "{}") as Record<string, number>;
  } catch {
    sizes = {};
  }
  return sizes;
}

export function rememberSize(input_path: string, size: number): void {
  sizes = Object.fromEntries([...Object.entries(all()), [input_path, size]].slice(-MOST));
  localStorage.setItem(STORED, JSON.stringify(sizes));
}

export const sizeOf = (job: Pick<Job, "input_path" | "input_size" | "plan">): number | null =>
  job.input_size ?? job.plan?.input_size ?? all()[job.input_path] ?? null;
