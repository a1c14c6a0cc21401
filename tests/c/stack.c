/*
 * The stack of a callback is as large as the header says, though the environment asks Rust for another size. Ends by
 * itself, with status 0 if it is so.
 */
#define _GNU_SOURCE
#include "host.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Answers with the size of its thread's stack, in bytes. */
static int32_t process(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data, (void)data, (void)len;
  pthread_attr_t attributes;
  size_t size;
  CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
  CHECK(pthread_attr_getstacksize(&attributes, &size) == 0);
  CHECK(pthread_attr_destroy(&attributes) == 0);
  char text[32];
  int digits = snprintf(text, sizeof text, "%zu", size);
  CHECK(digits > 0);
  return reactor_reply_write(reply, text, (size_t)digits);
}

int main(int argc, char **argv) {
  /* Before the first thread: std reads it once. */
  CHECK(setenv("RUST_MIN_STACK", "8388608", 1) == 0);
  struct host host = host_new(argc, argv);
  reactor_options *options = host_options(&host);
  reactor *reactor = reactor_start_with("127.0.0.1:0", host.mode, process, options);
  CHECK(reactor != NULL);
  reactor_options_free(options);
  int client = host_connect(reactor);
  host_ask(client, "how much?", "2097152", false);
  close(client);
  CHECK(reactor_free(reactor) == REACTOR_STATUS_OK);
  return 0;
}
