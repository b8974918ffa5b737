/**
 * Cuts a text/event-stream into its events, however the network cut it into chunks.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export class SseParser {
  #buffer = "";
  /** @type {{event: string, data: string[], id: string | null}} */
  #open = { event: "message", data: [], id: null };

  /**
   * @param {string} chunk
   * @returns {{event: string, data: string | null, id: string | null}[]} the events that became whole; one without
   *   data only moves the place reached on, as a heartbeat does
   */
  push(chunk) {
    this.#buffer += chunk;
    const lines = this.#buffer.split(/\r\n|\n|\r(?!$)/);
    this.#buffer = lines.pop() ?? "";
    const events = [];
    for (const line of lines) {
      if (line === "") {
        const { event, data, id } = this.#open;
        if (data.length > 0) events.push({ event, data: data.join("\n"), id });
        else if (id !== null) events.push({ event, data: null, id });
        this.#open = { event: "message", data: [], id: null };
      } else {
        this.#field(line);
      }
    }
    return events;
  }

  /** @param {string} line */
  #field(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment, which only keeps the line open
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#open.data.push(value);
    else if (name === "event") this.#open.event = value;
    else if (name === "id") this.#open.id = value;
  }
}
