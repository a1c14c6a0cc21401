/*
 * Discard: takes each connection, drops it, logs who came.
 *
 * Shows: on_open, which decides over a connection before anything is read from it.
 *
 * Build, at the root of the repository, after `cargo xtask build`:
 *   cc -Iinclude examples/c/discard.c -Ltarget/release -lreactor -Wl,-rpath,"$PWD/target/release" -o target/discard
 * Try:
 *   target/discard & nc 127.0.0.1 3001 </dev/null
 */
#include "example.h"

/* Returning false drops the connection at once: no request, and no on_close either, for it was never taken. */
static bool log_and_drop(void *user_data, reactor_conn conn, const char *peer, void **conn_data) {
  (void)user_data, (void)conn, (void)conn_data;
  printf("dropped %s\n", peer); /* "HOST:PORT"; empty for a client of a unix socket */
  fflush(stdout);
  return false;
}

/* Every server has a process callback. This one's is never called: no connection is ever taken. */
static int32_t never_called(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data, (void)data, (void)len, (void)reply;
  return 0;
}

int main(int argc, char **argv) {
  struct example_settings settings = example_parse(argc, argv, REACTOR_MODE_SINGLE, EXAMPLE_NOT_GIVEN);
  example_catch_signals();

  reactor_options *options = reactor_options_new();
  reactor *server = NULL;
  if (options != NULL && example_set_workers(options, &settings) == REACTOR_STATUS_OK &&
      reactor_options_set_on_open(options, log_and_drop) == REACTOR_STATUS_OK) {
    server = reactor_start_with(settings.addr, settings.mode, never_called, options);
  }
  int exit_code = example_serve(server);
  reactor_options_free(options); /* the server has its own copy: this could stand right after the start */
  return exit_code;
}
