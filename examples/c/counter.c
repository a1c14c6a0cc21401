/*
 * Counter: reads what a client sends, answers `Received N bytes` and closes.
 *
 * Shows: raw framing, the default, where a request is whatever has arrived; reactor_reply_close, which sends this reply
 * and then closes. A client that sends more than one read takes is told about the first part only: where a message must
 * come whole, the server needs a framing (http_mock.c).
 *
 * Build, at the root of the repository, after `cargo xtask build`:
 *   cc -Iinclude examples/c/counter.c -Ltarget/release -lreactor -Wl,-rpath,"$PWD/target/release" -o target/counter
 * Try:
 *   target/counter & printf 'a\nb\n' | nc -N 127.0.0.1 3001
 */
#include "example.h"

static int32_t count(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data, (void)data;
  char line[64];
  int line_len = snprintf(line, sizeof line, "Received %zu bytes\n", len);
  if (line_len < 0 || reactor_reply_write(reply, line, (size_t)line_len) != REACTOR_STATUS_OK) {
    return 1; /* not 0: this reply is dropped, and its connection closed */
  }
  return reactor_reply_close(reply); /* REACTOR_STATUS_OK is 0: send it */
}

int main(int argc, char **argv) {
  struct example_settings settings = example_parse(argc, argv, REACTOR_MODE_SINGLE, EXAMPLE_NOT_GIVEN);
  example_catch_signals();

  reactor_options *options = reactor_options_new();
  reactor *server = NULL;
  if (options != NULL && example_set_workers(options, &settings) == REACTOR_STATUS_OK) {
    server = reactor_start_with(settings.addr, settings.mode, count, options);
  }
  int exit_code = example_serve(server);
  reactor_options_free(options);
  return exit_code;
}
