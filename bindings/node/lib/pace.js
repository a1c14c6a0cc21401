'use strict';
// Owns how long replies that are ready may wait for those of the same batch. Knows the clock, and nothing of replies.

/** As long as a run of the engine may hold its worker: a reply waits for this, and for the request that passes it. */
const LONGEST_MS = 1;
/** Requests between two looks at the clock, at the most: a look costs a tenth of what a quick request does. */
const LONGEST_STRIDE = 16;

class Pace {
  #sinceMs = 0;
  #stride = 1;
  #left = 1;

  /** From here on something waits. */
  begin() {
    this.#sinceMs = performance.now();
    this.#left = this.#stride;
  }

  /** To be asked after each request: whether what waits has waited long enough; if so, it begins anew. */
  isOver() {
    this.#left -= 1;
    if (this.#left > 0) return false;
    const nowMs = performance.now();
    const over = nowMs - this.#sinceMs >= LONGEST_MS;
    if (over) this.#sinceMs = nowMs;
    this.#stride = over ? 1 : Math.min(this.#stride * 2, LONGEST_STRIDE);
    this.#left = this.#stride;
    return over;
  }
}

module.exports = { Pace };
