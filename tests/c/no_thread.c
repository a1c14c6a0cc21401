/*
 * Threads cannot be had: each start fails at another one. Whoever then tries again, at once and at the same address, is
 * served: nothing of the start that failed is left. Echoes. Prints `failed N` at its end: how many starts did.
 */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { ROUNDS = 50, NEVER = -1 };

/* How many more threads there are; below 0 as many as one likes. */
static atomic_int left = NEVER;

/* Stands before that of the C library. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
  static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  if (real == NULL) {
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
  }
  if (left == 0) {
    return EAGAIN;
  }
  left -= left > 0;
  return real(thread, attributes, run, argument);
}

static void on_user_data_free(void *user_data) {
  ++*(int *)user_data;
}

static int32_t echo(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  return reactor_reply_write(reply, data, len);
}

/* Threads that a reactor has: so many starts can fail. */
static int threads_of(const struct host *host) {
  int reactors = host->mode == REACTOR_MODE_MULTI ? (int)host->reactors + 1 : 1;
  return reactors + (int)host->workers;
}

int main(int argc, char **argv) {
  struct host host = host_new(argc, argv);
  reactor *first = reactor_start(host_own_address(), host.mode, echo);
  CHECK(first != NULL);
  char address[64];
  CHECK(reactor_local_address(first, address, sizeof address) < sizeof address);
  CHECK(reactor_free(first) == REACTOR_STATUS_OK);
  int failed = 0, descriptors = host_descriptors();
  for (int round = 0; round < ROUNDS; round++) {
    for (int threads = 0; threads < threads_of(&host); threads++) {
      int frees = 0;
      reactor_options *options = host_options(&host);
      CHECK(reactor_options_set_user_data(options, &frees, on_user_data_free) == REACTOR_STATUS_OK);
      left = threads;
      CHECK(reactor_start_with(address, host.mode, echo, options) == NULL);
      CHECK(reactor_last_status() == REACTOR_STATUS_OUT_OF_RESOURCES);
      left = NEVER;
      failed++;
      CHECK(host_descriptors() == descriptors);
      reactor *second = reactor_start_with(address, host.mode, echo, options);
      CHECK(second != NULL && frees == 0);
      int client = host_connect(second);
      host_ask(client, "ping", "ping", false);
      close(client);
      CHECK(reactor_free(second) == REACTOR_STATUS_OK && frees == 1);
      reactor_options_free(options);
    }
  }
  say("failed %d", failed);
  return 0;
}
