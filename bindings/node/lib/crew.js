'use strict';
// Owns the worker threads of a server: started and ready before the server is, replaced when one dies, sent home at the
// end. Knows nothing of requests.

const path = require('node:path');
const { Worker } = require('node:worker_threads');

const FILE = path.join(__dirname, 'worker.js');
/** A worker that dies while it loads is tried again after so long, doubled each time. */
const RETRY_MS = 100;
const LONGEST_RETRY_MS = 10_000;
/** What a module keeps open must not hold the worker for longer. */
const GRACE_MS = 1_000;

/** An error that a worker posted. */
function revive(posted) {
  if ('value' in posted) return posted.value;
  const error = new Error(posted.message);
  error.name = posted.name;
  error.stack = posted.stack;
  if (posted.code !== undefined) error.code = posted.code;
  return error;
}

class Crew {
  #hub;
  #checked;
  #events;
  #workers = [];
  #started = false;
  #over = false;

  /** events: { failed(error, id), exit(code), error(error) } */
  constructor(hub, checked, events) {
    this.#hub = hub;
    this.#checked = checked;
    this.#events = events;
  }

  /** Resolves when all workers have loaded the module; rejects with the error of one that could not, or if aborted. */
  async start() {
    const { signal, workers } = this.#checked;
    let abort;
    const aborted = new Promise((_, reject) => (abort = () => reject(signal.reason)));
    signal?.addEventListener('abort', abort);
    try {
      await Promise.race([Promise.all(Array.from({ length: workers }, (_, index) => this.#hire(index))), aborted]);
      this.#started = true;
    } catch (error) {
      await this.stop();
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  #hire(index) {
    const { env, execArgv, resourceLimits, workerData } = this.#checked.workerOptions;
    const { homes, serial, handler } = this.#checked;
    const init = { hub: this.#hub.id, index, homes, serial, module: handler.module };
    const worker = new Worker(FILE, { env, execArgv, resourceLimits, workerData, argv: [JSON.stringify(init)] });
    if (this.#started) worker.unref();
    this.#workers[index] = worker;
    return new Promise((resolve, reject) => {
      let ready = false;
      let failure;
      worker.on('message', (message) => {
        const news = message?.reactor;
        if (news?.ready) {
          ready = true;
          // The server's own timer keeps the process, as long as the user wants that.
          worker.unref();
          resolve();
        } else if (news?.unloadable) reject((failure = revive(news.unloadable)));
        else if (news?.failed) this.#events.failed(revive(news.failed), news.id);
      });
      worker.on('error', (error) => {
        failure = error;
        reject(error);
      });
      worker.on('exit', (code) => {
        reject(failure ?? new Error(`a worker exited with code ${code} while it loaded ${init.module}`));
        if (ready) this.#replace(index, code, failure);
      });
    });
  }

  #replace(index, code, failure) {
    if (this.#over) return;
    this.#hireAgain(index, RETRY_MS);
    if (failure !== undefined) this.#events.failed(failure, 0n);
    this.#events.exit(code);
  }

  #hireAgain(index, retryMs) {
    if (this.#over) return;
    // What Node throws at once, of options that have changed since, is refused as what fails later is.
    const hired = (async () => this.#hire(index))();
    hired.catch((error) => {
      if (this.#over) return;
      setTimeout(() => this.#hireAgain(index, Math.min(retryMs * 2, LONGEST_RETRY_MS)), retryMs).unref();
      this.#events.error(error);
    });
  }

  /** Sends all workers home. */
  async stop() {
    this.#over = true;
    await Promise.all(
      this.#workers.map(async (worker) => {
        const gone = new Promise((resolve) => worker.once('exit', resolve));
        if (worker.threadId === -1) return;
        worker.ref();
        worker.postMessage({ reactor: 'stop' });
        const timer = setTimeout(() => worker.terminate(), GRACE_MS);
        await gone;
        clearTimeout(timer);
      }),
    );
  }
}

module.exports = { Crew };
