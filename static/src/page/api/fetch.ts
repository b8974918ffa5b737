/**
 * The page's own `fetch`: esbuild puts it in the place of the global one everywhere in the bundle, Uppy included.
 *
 * Requests to the API carry the key of whoever is signed in, and a refusal is turned into an `ApiError` that holds
 * the server's own words (problem+json) instead of a bare status.
 */
import { authHeaders, askForKey } from "./session.ts";

export class ApiError extends Error {
  /**
   * @param status the HTTP status, 0 if the server could not be reached
   * @param errors the fields at fault, for a 422
   * @param retryAfter seconds the server asks to wait
   */
  constructor(
    message: string,
    readonly status: number,
    readonly errors: { field: string; message: string }[] = [],
    readonly retryAfter: number | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** True if the same request may succeed later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

const realFetch = globalThis.fetch.bind(globalThis);

export async function fetch(input: string, init: RequestInit = {}): Promise<Response> {
  const headers = { ...(init.headers as Record<string, string> | undefined), ...authHeaders() };
  let response: Response;
  try {
    response = await realFetch(input, { ...init, headers });
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new ApiError("The server can’t be reached at the moment.", 0);
  }
  if (response.ok || response.status === 304) return response;
  if (response.status === 401) askForKey();
  throw await problemOf(response);
}

async function problemOf(response: Response): Promise<ApiError> {
  const retryAfter = Number(response.headers.get("retry-after")) || null;
  const problem = await response.json().catch(() => ({}));
  const errors = Array.isArray(problem.errors) ? problem.errors : [];
  const detail = [problem.detail, ...errors.map((each: { message: string }) => each.message)].filter(Boolean)[0];
  return new ApiError(detail ?? sentenceFor(response.status), response.status, errors, retryAfter);
}

function sentenceFor(status: number): string {
  if (status === 401) return "An access key is needed.";
  if (status === 404) return "It is no longer there.";
  if (status === 413) return "This file is larger than what is accepted.";
  if (status === 429) return "Too many requests at once. Wait a moment.";
  if (status >= 500) return "The server has a problem at the moment.";
  return "The server did not accept this.";
}
