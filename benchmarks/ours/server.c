/*
 * The server that is measured: a C program over libreactor, with the shortest callbacks that do the work of each row.
 *
 *   server PORT single|pooled|multi [echo|http|marked] [--workers N] [--reactors N]
 *
 * `marked` is echo in which a request may ask for time: byte 1 to sleep, 2 to compute, then microseconds as a
 * little-endian uint32 (as `reactor-load --slow-connections` sends them).
 */
#define _POSIX_C_SOURCE 200809L

#include <reactor.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int32_t echo(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  return reactor_reply_write(reply, data, len);
}

static const char response[] =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 6\r\n"
    "Connection: keep-alive\r\n"
    "\r\n"
    "hello\n";

static int32_t answer(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data, (void)data, (void)len;
  return reactor_reply_write(reply, response, sizeof response - 1);
}

static void take_time(bool computing, uint32_t us) {
  struct timespec now, end = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L};
  if (!computing) {
    nanosleep(&end, NULL);
    return;
  }
  clock_gettime(CLOCK_MONOTONIC, &now);
  end.tv_sec += now.tv_sec + (end.tv_nsec + now.tv_nsec) / 1000000000;
  end.tv_nsec = (end.tv_nsec + now.tv_nsec) % 1000000000;
  do {
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
}

static int32_t echo_marked(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  if (len >= 5 && (data[0] == 1 || data[0] == 2)) {
    take_time(data[0] == 2,
              (uint32_t)data[1] | (uint32_t)data[2] << 8 | (uint32_t)data[3] << 16 | (uint32_t)data[4] << 24);
  }
  return reactor_reply_write(reply, data, len);
}

static int failed(const char *what) {
  fprintf(stderr, "%s: %s\n", what, reactor_last_error());
  return EXIT_FAILURE;
}

static reactor *server;

static void on_signal(int number) {
  (void)number;
  if (server != NULL) {
    (void)reactor_request_stop(server, 1000);
  }
}

/* How the connections were spread over the reactors; the counters can be read until the reactor is freed. */
static void print_split(void) {
  reactor_stats stats = {.struct_size = sizeof stats};
  printf("split:");
  for (uint32_t i = 0; reactor_get_stats(server, i, &stats) == REACTOR_STATUS_OK; i += 1) {
    printf(" %llu", (unsigned long long)stats.connections_accepted);
  }
  printf("\n");
  fflush(stdout);
}

static uint32_t mode_of(const char *name) {
  return strcmp(name, "pooled") == 0 ? REACTOR_MODE_POOLED
       : strcmp(name, "multi") == 0  ? REACTOR_MODE_MULTI
                                     : REACTOR_MODE_SINGLE;
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: %s PORT single|pooled|multi echo|http|marked [--workers N] [--reactors N]\n", argv[0]);
    return 2;
  }
  reactor_options *options = reactor_options_new();
  reactor_status status = options == NULL ? reactor_last_status() : REACTOR_STATUS_OK;
  reactor_process_fn process = strcmp(argv[3], "marked") == 0 ? echo_marked : echo;
  if (strcmp(argv[3], "http") == 0) {
    process = answer;
    status = reactor_options_set_framing_delimiter(options, "\r\n\r\n", 4, false);
  }
  for (int i = 4; i + 1 < argc && status == REACTOR_STATUS_OK; i += 2) {
    uint32_t number = (uint32_t)strtoul(argv[i + 1], NULL, 10);
    status = strcmp(argv[i], "--workers") == 0 ? reactor_options_set_workers(options, number)
                                               : reactor_options_set_reactors(options, number);
  }
  if (status != REACTOR_STATUS_OK) {
    return failed("options");
  }
  char address[64];
  snprintf(address, sizeof address, "127.0.0.1:%s", argv[1]);
  server = reactor_start_with(address, mode_of(argv[2]), process, options);
  reactor_options_free(options);
  if (server == NULL) {
    return failed("start");
  }
  reactor_local_address(server, address, sizeof address);
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  printf("listening on %s\n", address);
  fflush(stdout);
  if (reactor_wait(server, NULL) != REACTOR_STATUS_OK) {
    return failed("wait");
  }
  print_split();
  reactor *stopped = server;
  server = NULL;
  return reactor_free(stopped) == REACTOR_STATUS_OK ? EXIT_SUCCESS : failed("free");
}
