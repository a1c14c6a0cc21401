/*
 * The ways to ask a reactor to stop, one a --variant. Each ends by itself, with status 0 if all was as it should be.
 */
#define _GNU_SOURCE
#include "host.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DRAIN_MS = 20000 };

static bool stop_in_open, stop_in_process, stop_in_close, stuck;
static sem_t is_stuck;
static atomic_int closes;
static _Atomic(reactor *) other; /* stopped and freed in process, where not NULL */

static void request_stop_here(void) {
  CHECK(reactor_request_stop(reactor_current(), DRAIN_MS) == REACTOR_STATUS_OK);
}

static bool on_open(void *user_data, reactor_conn conn, const char *peer, void **conn_data) {
  (void)user_data, (void)conn, (void)peer, (void)conn_data;
  if (stop_in_open) {
    request_stop_here();
  }
  return true;
}

static int32_t process(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  if (stop_in_process) {
    request_stop_here();
  }
  if (stuck) {
    CHECK(sem_post(&is_stuck) == 0);
    host_pass_gate(0); /* which nobody opens */
  }
  reactor *stops = atomic_exchange(&other, NULL);
  if (stops != NULL) {
    reactor_drain_report report = {.struct_size = sizeof report};
    CHECK(reactor_stop(stops, DRAIN_MS, &report) == REACTOR_STATUS_OK);
    CHECK(reactor_free(stops) == REACTOR_STATUS_OK);
  }
  CHECK(reactor_reply_write(reply, data, len) == REACTOR_STATUS_OK);
  return 0;
}

static void on_close(void *user_data, reactor_conn conn, uint32_t reason, int32_t os_error, void *conn_data) {
  (void)user_data, (void)conn, (void)reason, (void)os_error, (void)conn_data;
  closes++;
  if (stop_in_close) {
    request_stop_here();
  }
}

static reactor *start(const struct host *host) {
  reactor_options *options = host_options(host);
  CHECK(reactor_options_set_on_open(options, on_open) == REACTOR_STATUS_OK);
  CHECK(reactor_options_set_on_close(options, on_close) == REACTOR_STATUS_OK);
  reactor *reactor = reactor_start_with(host->addr, host->mode, process, options);
  CHECK(reactor != NULL);
  reactor_options_free(options);
  return reactor;
}

static void wait_and_free(reactor *reactor, uint64_t connections) {
  reactor_drain_report report = {.struct_size = sizeof report};
  CHECK(reactor_wait(reactor, &report) == REACTOR_STATUS_OK);
  CHECK(report.struct_size == sizeof report);
  CHECK(report.connections_drained == connections && report.connections_aborted == 0);
  CHECK(report.requests_abandoned == 0 && report.bytes_unsent == 0 && report.callbacks_running == 0);
  CHECK(reactor_free(reactor) == REACTOR_STATUS_OK);
}

/* A client that sees the FIN and answers it; one that does not would be waited for a while (lingering close). */
static void read_fin_and_close(int client) {
  host_ask(client, "", "", true);
  close(client);
}

static void twice(const struct host *host) {
  reactor *reactor = start(host);
  int client = host_connect(reactor);
  host_ask(client, "ping", "ping", false);
  CHECK(reactor_request_stop(reactor, DRAIN_MS) == REACTOR_STATUS_OK);
  CHECK(reactor_request_stop(reactor, DRAIN_MS) == REACTOR_STATUS_OK);
  read_fin_and_close(client);
  CHECK(reactor_stop(reactor, DRAIN_MS, NULL) == REACTOR_STATUS_OK);
  CHECK(reactor_stop(reactor, DRAIN_MS, NULL) == REACTOR_STATUS_OK);
  CHECK(closes == 1);
  wait_and_free(reactor, 1);
}

static void in_callback(const struct host *host) {
  reactor *reactor = start(host);
  int client = host_connect(reactor);
  if (stop_in_process) {
    host_ask(client, "last", "last", true);
    close(client);
    wait_and_free(reactor, 1);
  } else if (stop_in_open) {
    read_fin_and_close(client);
    wait_and_free(reactor, 1);
  } else {
    host_ask(client, "last", "last", false);
    close(client);
    /* Whether the connection whose end brought the stop counts as drained by it is not said. */
    CHECK(reactor_wait(reactor, NULL) == REACTOR_STATUS_OK && reactor_free(reactor) == REACTOR_STATUS_OK);
  }
  CHECK(closes == 1);
}

static reactor *signalled;

static void on_signal(int signal) {
  (void)signal;
  errno = EXDEV;
  reactor_status status = reactor_request_stop(signalled, DRAIN_MS);
  if (status != REACTOR_STATUS_OK || errno != EXDEV) {
    abort();
  }
}

static void from_signal_handler(const struct host *host) {
  signalled = start(host);
  struct sigaction action = {.sa_handler = on_signal};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  int client = host_connect(signalled);
  host_ask(client, "ping", "ping", false);
  CHECK(reactor_start("no address", host->mode, process) == NULL);
  char before[256];
  strncpy(before, reactor_last_error(), sizeof before - 1);
  before[sizeof before - 1] = '\0';
  for (int i = 0; i < 100; i++) {
    CHECK(raise(SIGUSR1) == 0);
  }
  /* The handler ran in this thread and left its last error alone. */
  CHECK(strncmp(before, reactor_last_error(), sizeof before - 1) == 0);
  CHECK(reactor_last_status() == REACTOR_STATUS_INVALID_ADDRESS);
  read_fin_and_close(client);
  wait_and_free(signalled, 1);
}

static void *stop_in_thread(void *argument) {
  reactor_drain_report report = {.struct_size = sizeof report};
  CHECK(reactor_stop(argument, DRAIN_MS, &report) == REACTOR_STATUS_OK);
  CHECK(report.connections_drained == 1 && report.connections_aborted == 0);
  return NULL;
}

static void from_eight_threads(const struct host *host) {
  reactor *reactor = start(host);
  int client = host_connect(reactor);
  host_ask(client, "ping", "ping", false);
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) {
    CHECK(pthread_create(&threads[i], NULL, stop_in_thread, reactor) == 0);
  }
  read_fin_and_close(client);
  for (int i = 0; i < 8; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  CHECK(closes == 1);
  wait_and_free(reactor, 1);
}

/* Stop before the first connection, free without a stop, at one address again and again, and nothing left over. */
static void at_once(const struct host *host) {
  struct host again = *host;
  char address[64];
  again.addr = host_own_address();
  int descriptors = host_descriptors();
  reactor *first = start(&again);
  CHECK(reactor_local_address(first, address, sizeof address) < sizeof address);
  CHECK(reactor_free(first) == REACTOR_STATUS_OK);
  again.addr = address;
  for (int i = 0; i < 20; i++) {
    reactor *stopped = start(&again);
    CHECK(reactor_stop(stopped, DRAIN_MS, NULL) == REACTOR_STATUS_OK);
    CHECK(reactor_free(stopped) == REACTOR_STATUS_OK);
    CHECK(reactor_free(start(&again)) == REACTOR_STATUS_OK);
  }
  CHECK(host_descriptors() == descriptors);
}

/* Idle connections are no work: a stop does not wait for them, nor does a free. */
static void free_with_connections(const struct host *host) {
  reactor *reactor = start(host);
  int clients[8];
  for (int i = 0; i < 8; i++) {
    clients[i] = host_connect(reactor);
    host_ask(clients[i], "ping", "ping", false);
  }
  CHECK(reactor_free(reactor) == REACTOR_STATUS_OK);
  CHECK(closes == 8);
  for (int i = 0; i < 8; i++) {
    close(clients[i]);
  }
}

static void from_another_reactor(const struct host *host) {
  reactor *first = start(host), *second = start(host);
  other = second;
  int client = host_connect(first);
  host_ask(client, "last", "last", false);
  CHECK(reactor_request_stop(first, DRAIN_MS) == REACTOR_STATUS_OK);
  read_fin_and_close(client);
  wait_and_free(first, 1);
}

/* The earliest deadline wins, in whichever order they are asked for: a wait for the later one would outlast the test. */
static void earliest_deadline(const struct host *host, bool later_first) {
  stuck = true;
  reactor *reactor = start(host);
  int client = host_connect(reactor);
  CHECK(write(client, "ping", 4) == 4);
  CHECK(sem_wait(&is_stuck) == 0);
  CHECK(reactor_request_stop(reactor, later_first ? 3600 * 1000 : 100) == REACTOR_STATUS_OK);
  CHECK(reactor_request_stop(reactor, later_first ? 100 : 3600 * 1000) == REACTOR_STATUS_OK);
  reactor_drain_report report = {.struct_size = sizeof report};
  CHECK(reactor_wait(reactor, &report) == REACTOR_STATUS_TIMED_OUT);
  CHECK(report.callbacks_running == 1 && report.requests_abandoned == 1 && report.connections_aborted == 1);
  CHECK(closes == 0); /* the callback still runs, so it is not the connection's last yet */
}

int main(int argc, char **argv) {
  struct host host = host_new(argc, argv);
  const char *variant = host.variant;
  stop_in_open = strcmp(variant, "in-open") == 0;
  stop_in_process = strcmp(variant, "in-process") == 0;
  stop_in_close = strcmp(variant, "in-close") == 0;
  if (stop_in_open || stop_in_process || stop_in_close) {
    in_callback(&host);
  } else if (strcmp(variant, "twice") == 0) {
    twice(&host);
  } else if (strcmp(variant, "signal-handler") == 0) {
    from_signal_handler(&host);
  } else if (strcmp(variant, "eight-threads") == 0) {
    from_eight_threads(&host);
  } else if (strcmp(variant, "at-once") == 0) {
    at_once(&host);
  } else if (strcmp(variant, "free-with-connections") == 0) {
    free_with_connections(&host);
  } else if (strcmp(variant, "another-reactor") == 0) {
    from_another_reactor(&host);
  } else if (strcmp(variant, "later-deadline-first") == 0 || strcmp(variant, "earlier-deadline-first") == 0) {
    earliest_deadline(&host, variant[0] == 'l');
  } else {
    die("no variant: %s", variant);
  }
  return 0;
}
