/**
 * A refused HTTP request in the terms of the push protocol's close codes.
 *
 * @param {Response} response
 * @returns {import("./types.d.ts").Ending}
 */
export function endingOf(response) {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  const retryAfter = Number.isFinite(seconds) ? seconds * 1000 : null;
  if (response.status === 401) return { code: 4401 };
  if (response.status === 403) return { code: 4403 };
  if (response.status === 429 || response.status === 503) return { code: 1013, retryAfter };
  return { code: 1006, reason: `HTTP ${response.status}` };
}
