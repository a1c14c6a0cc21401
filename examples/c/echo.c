/*
 * Echo: gives back what it is sent, after a compute step that takes --compute-ms.
 *
 * Shows: POOLED, where worker threads run the callback, so that a slow one delays nobody but its own connection; and
 * user_data, by which a callback finds what belongs to the program. The default is 12 workers and 100 ms. Try
 * --mode single to see what a slow callback does on the thread that also reads and writes.
 *
 * Build, at the root of the repository, after `cargo xtask build`:
 *   cc -Iinclude examples/c/echo.c -Ltarget/release -lreactor -Wl,-rpath,"$PWD/target/release" -o target/echo
 * Try:
 *   target/echo & printf 'a\nb\n' | nc -N 127.0.0.1 3001
 */
#include "example.h"

#include <time.h>

/* Stands in for work: a query, a picture, a computation. A worker's thread may sleep; the reactor's never should. */
static void compute(int64_t duration_ms) {
  struct timespec left = {.tv_sec = (time_t)(duration_ms / 1000), .tv_nsec = (long)(duration_ms % 1000) * 1000000};
  while (nanosleep(&left, &left) == -1 && errno == EINTR) {
  }
}

/* Called by several threads at once, though never twice at once for one connection; settings is only read. */
static int32_t echo(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  const struct example_settings *settings = user_data;
  if (settings->compute_ms > 0) {
    compute(settings->compute_ms);
  }
  return reactor_reply_write(reply, data, len); /* copies: data is the library's again once this returns */
}

int main(int argc, char **argv) {
  static struct example_settings settings; /* static, as callbacks use it: one that wait gave up on may outlive main */
  settings = example_parse(argc, argv, REACTOR_MODE_POOLED, 100);
  if (settings.mode == REACTOR_MODE_POOLED && settings.workers == EXAMPLE_NOT_GIVEN) {
    settings.workers = 12; /* they sleep rather than compute, so more than there are cores */
  }
  example_catch_signals();

  reactor_options *options = reactor_options_new();
  reactor *server = NULL;
  if (options != NULL && example_set_workers(options, &settings) == REACTOR_STATUS_OK &&
      reactor_options_set_user_data(options, &settings, NULL) == REACTOR_STATUS_OK) { /* NULL: nothing to free */
    server = reactor_start_with(settings.addr, settings.mode, echo, options);
  }
  int exit_code = example_serve(server);
  reactor_options_free(options);
  return exit_code;
}
