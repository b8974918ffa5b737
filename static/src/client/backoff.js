/**
 * How long to wait before attempt number `attempt` (from 0): doubling from `base` to `cap`, with the upper half
 * of it random, so that clients that were cut off together do not come back together.
 *
 * @param {number} attempt
 * @param {() => number} random a number from 0 to 1
 * @param {{base?: number, cap?: number}} [limits] milliseconds
 * @returns {number} milliseconds
 */
export function backoff(attempt, random, { base = 500, cap = 30_000 } = {}) {
  const ceiling = Math.min(cap, base * 2 ** Math.min(attempt, 20));
  return Math.round(ceiling / 2 + (random() * ceiling) / 2);
}
