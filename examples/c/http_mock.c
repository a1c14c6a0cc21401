/*
 * HTTP mock: answers each request head with the same 200, and keeps the connection. Enough for curl, ab -k and wrk; not
 * an HTTP server, for it looks at nothing that it is sent, and a request with a body is not what it expects.
 *
 * Shows: delimiter framing. The library finds where each request ends, over as many reads as it takes; the callback has
 * one whole request at a time, and a client that sends many without waiting has its answers in the same order.
 *
 * Build, at the root of the repository, after `cargo xtask build`:
 *   cc -Iinclude examples/c/http_mock.c -Ltarget/release -lreactor -Wl,-rpath,"$PWD/target/release" -o target/http_mock
 * Try:
 *   target/http_mock & curl -i http://127.0.0.1:3001/
 */
#include "example.h"

static const char response[] =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 6\r\n"
    "Connection: keep-alive\r\n" /* HTTP/1.0 clients, ab among them, must be told */
    "\r\n"
    "hello\n";

static int32_t answer(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data, (void)data, (void)len; /* len bytes at data: the head, its blank line with it */
  return reactor_reply_write(reply, response, sizeof response - 1);
}

int main(int argc, char **argv) {
  struct example_settings settings = example_parse(argc, argv, REACTOR_MODE_SINGLE, EXAMPLE_NOT_GIVEN);
  example_catch_signals();

  reactor_options *options = reactor_options_new();
  reactor *server = NULL;
  bool strip = false; /* the callback sees each frame with its delimiter, and replies leave as they are written */
  if (options != NULL && example_set_workers(options, &settings) == REACTOR_STATUS_OK &&
      reactor_options_set_framing_delimiter(options, "\r\n\r\n", 4, strip) == REACTOR_STATUS_OK) {
    server = reactor_start_with(settings.addr, settings.mode, answer, options);
  }
  int exit_code = example_serve(server);
  reactor_options_free(options);
  return exit_code;
}
