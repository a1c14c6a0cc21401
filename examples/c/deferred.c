/*
 * Deferred: gives each line back with the time that it took, which is random: up to --compute-ms. The answers come from
 * other threads than the one that was asked, in any order, and leave in the order of the requests.
 *
 * Shows: reactor_reply_defer, for work that somebody else does, such as a database; the callback returns at once, and
 * so may run on the reactor's own thread. PARALLEL order: the next requests of a connection do not wait for this one.
 *
 * Build, at the root of the repository, after `cargo xtask build`:
 *   cc -Iinclude examples/c/deferred.c -Ltarget/release -lreactor -Wl,-rpath,"$PWD/target/release" -pthread \
 *     -o target/deferred
 * Try:
 *   target/deferred & seq 20 | nc -N 127.0.0.1 3001
 */
#include "example.h"

#include <pthread.h>
#include <time.h>

enum { BACKEND_THREADS = 8 };

struct job {
  struct job *next;
  reactor_deferred *promise;
};

/* ---- The backend: a queue, and the threads that work it off ------------------------------------- */

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct job *first, **end;
  bool closed;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .end = &queue.first};

static uint32_t longest_ms; /* written before any thread is there */

/* Not more jobs than max_in_flight for each connection: the library reads no further until some are answered. */
static void put_job(struct job *job) {
  pthread_mutex_lock(&queue.lock);
  *queue.end = job;
  queue.end = &job->next;
  pthread_cond_signal(&queue.changed);
  pthread_mutex_unlock(&queue.lock);
}

/* Waits for a job; NULL once the queue is closed and empty: a promise must be kept, whatever happens. */
static struct job *take_job(void) {
  pthread_mutex_lock(&queue.lock);
  while (queue.first == NULL && !queue.closed) {
    pthread_cond_wait(&queue.changed, &queue.lock);
  }
  struct job *job = queue.first;
  if (job != NULL && (queue.first = job->next) == NULL) {
    queue.end = &queue.first;
  }
  pthread_mutex_unlock(&queue.lock);
  return job;
}

static void close_queue(void) {
  pthread_mutex_lock(&queue.lock);
  queue.closed = true;
  pthread_cond_broadcast(&queue.changed);
  pthread_mutex_unlock(&queue.lock);
}

/* Stands in for the query. */
static uint32_t wait_random_ms(unsigned *seed) {
  uint32_t ms = (uint32_t)((double)rand_r(seed) / RAND_MAX * longest_ms);
  struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
  while (nanosleep(&left, &left) == -1 && errno == EINTR) {
  }
  return ms;
}

static void *work(void *argument) {
  unsigned seed = (unsigned)(uintptr_t)argument;
  for (struct job *job; (job = take_job()) != NULL; free(job)) {
    char took[32];
    int len = snprintf(took, sizeof took, " (%" PRIu32 " ms)", wait_random_ms(&seed));
    /* GONE, where the client has not waited for it, is nothing to worry about. */
    (void)reactor_deferred_complete(job->promise, took, (size_t)len); /* the promise is kept: no further use */
  }
  return NULL;
}

/* ---- The server --------------------------------------------------------------------------------- */

static int32_t ask_backend(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  struct job *job = malloc(sizeof *job);
  if (job == NULL || reactor_reply_write(reply, data, len) != REACTOR_STATUS_OK) { /* how the answer begins */
    free(job);
    return 1;
  }
  *job = (struct job){.promise = reactor_reply_defer(reply)}; /* no failure: reply is there, and not yet deferred */
  put_job(job);
  return 0;
}

static reactor *start(const struct example_settings *settings) {
  reactor_options *options = reactor_options_new();
  reactor *server = NULL;
  bool strip = true; /* each reply gets its newline, however many pieces it is made of */
  if (options != NULL && example_set_workers(options, settings) == REACTOR_STATUS_OK &&
      reactor_options_set_framing_delimiter(options, "\n", 1, strip) == REACTOR_STATUS_OK &&
      reactor_options_set_order(options, REACTOR_ORDER_PARALLEL) == REACTOR_STATUS_OK) {
    server = reactor_start_with(settings->addr, settings->mode, ask_backend, options);
  }
  reactor_options_free(options);
  return server;
}

int main(int argc, char **argv) {
  struct example_settings settings = example_parse(argc, argv, REACTOR_MODE_SINGLE, 100);
  longest_ms = (uint32_t)settings.compute_ms;
  example_catch_signals();

  pthread_t threads[BACKEND_THREADS];
  for (uintptr_t i = 0; i < BACKEND_THREADS; i++) {
    if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)) != 0) { /* the number is its seed */
      perror("pthread_create");
      return EXIT_FAILURE;
    }
  }
  int exit_code = example_serve(start(&settings)); /* a stop waits for the promises as for any reply */
  close_queue();
  for (size_t i = 0; i < BACKEND_THREADS; i++) {
    pthread_join(threads[i], NULL);
  }
  return exit_code;
}
