/**
 * Lets each event of a job through once and in order.
 *
 * After a reconnect the server may send again what was already seen.  Within a job `seq` rises by event and
 * `attempt` never falls, so whatever does not pass the highest pair seen is old.
 */
export class Dedupe {
  /** @type {Map<string, [number, number]>} */
  #seen = new Map();
  #limit;

  /** @param {number} [limit] how many jobs to remember */
  constructor(limit = 10_000) {
    this.#limit = limit;
  }

  /**
   * @param {import("./types.d.ts").JobLike} event
   * @returns {boolean} true if it is news
   */
  accept({ job_id, attempt = 1, seq }) {
    if (job_id === undefined || seq === undefined) return true;
    const seen = this.#seen.get(job_id);
    if (seen && (attempt < seen[0] || (attempt === seen[0] && seq <= seen[1]))) return false;
    this.#seen.delete(job_id); // a Map keeps the order of insertion: the longest silent goes first
    this.#seen.set(job_id, [attempt, seq]);
    if (this.#seen.size > this.#limit) {
      const oldest = this.#seen.keys().next().value;
      if (oldest !== undefined) this.#seen.delete(oldest);
    }
    return true;
  }
}
