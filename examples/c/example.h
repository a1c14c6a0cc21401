/*
 * What the examples share: their command line, and the life of a server from its start to its report. What differs,
 * and what is worth reading first, stands in the examples themselves. Not a part of the library.
 *
 * To be included before any other header: it asks the C library for POSIX (sigaction, nanosleep).
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <reactor.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  EXAMPLE_NOT_GIVEN = -1,
  EXAMPLE_EXIT_USAGE = 2,
  EXAMPLE_DRAIN_TIMEOUT_MS = 10 * 1000,
  EXAMPLE_ADDRESS_BYTES = 128 /* "unix:" and the longest path of a socket (108 bytes, unix(7)) fit */
};

/* ---- Command line ------------------------------------------------------------------------------ */

struct example_settings {
  const char *addr;   /* --addr */
  uint32_t mode;      /* --mode, a reactor_mode */
  int64_t workers;    /* --workers, or EXAMPLE_NOT_GIVEN: the library's default */
  int64_t compute_ms; /* --compute-ms, or EXAMPLE_NOT_GIVEN: a program without a compute step */
};

static inline void example_usage(FILE *to, const char *program, const struct example_settings *defaults) {
  static const char *const modes[] = {"single", "pooled", "multi"};
  fprintf(to, "usage: %s [--addr HOST:PORT] [--mode single|pooled|multi] [--workers N]", program);
  fputs(defaults->compute_ms == EXAMPLE_NOT_GIVEN ? "\n" : " [--compute-ms N]\n", to);
  fprintf(to, "defaults: --addr %s --mode %s", defaults->addr, modes[defaults->mode]);
  if (defaults->compute_ms != EXAMPLE_NOT_GIVEN) {
    fprintf(to, " --compute-ms %" PRId64, defaults->compute_ms);
  }
  fputc('\n', to);
}

/* Says what is wrong with an option's value, and ends the program. */
static inline _Noreturn void example_refuse(const char *option, const char *value, const char *wanted) {
  fprintf(stderr, "%s %s: not %s\n", option, value, wanted);
  exit(EXAMPLE_EXIT_USAGE);
}

static inline uint32_t example_number(const char *option, const char *text) {
  char *end = NULL;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number > UINT32_MAX) {
    example_refuse(option, text, "a number from 0 to 4294967295");
  }
  return (uint32_t)number;
}

static inline uint32_t example_mode(const char *text) {
  if (strcmp(text, "pooled") == 0) {
    return REACTOR_MODE_POOLED;
  }
  if (strcmp(text, "multi") == 0) {
    return REACTOR_MODE_MULTI;
  }
  if (strcmp(text, "single") != 0) {
    example_refuse("--mode", text, "single, pooled or multi");
  }
  return REACTOR_MODE_SINGLE;
}

/* What the command line says, else the defaults. What makes no sense ends the program with a message. */
static inline struct example_settings example_parse(int argc, char **argv, uint32_t default_mode,
                                                    int64_t default_compute_ms) {
  const struct example_settings defaults = {
      .addr = "127.0.0.1:3001", .mode = default_mode, .workers = EXAMPLE_NOT_GIVEN, .compute_ms = default_compute_ms};
  const struct option known[] = {
      {"addr", required_argument, NULL, 'a'},
      {"mode", required_argument, NULL, 'm'},
      {"workers", required_argument, NULL, 'w'},
      {"help", no_argument, NULL, 'h'},
      {defaults.compute_ms == EXAMPLE_NOT_GIVEN ? NULL : "compute-ms", required_argument, NULL, 'c'},
      {NULL, 0, NULL, 0},
  };
  struct example_settings settings = defaults;
  for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    switch (option) {
      case 'a': settings.addr = optarg; break;
      case 'm': settings.mode = example_mode(optarg); break;
      case 'w': settings.workers = example_number("--workers", optarg); break;
      case 'c': settings.compute_ms = example_number("--compute-ms", optarg); break;
      case 'h': example_usage(stdout, argv[0], &defaults); exit(EXIT_SUCCESS);
      default: example_usage(stderr, argv[0], &defaults); exit(EXAMPLE_EXIT_USAGE);
    }
  }
  if (optind < argc) {
    example_refuse("argument", argv[optind], "an option");
  }
  return settings;
}

/* Without --workers the library's own default stands. Whether the mode has workers at all, start checks. */
static inline reactor_status example_set_workers(reactor_options *options, const struct example_settings *settings) {
  if (settings->workers == EXAMPLE_NOT_GIVEN) {
    return REACTOR_STATUS_OK;
  }
  return reactor_options_set_workers(options, (uint32_t)settings->workers);
}

/* ---- From start to report ---------------------------------------------------------------------- */

/* What the signal handler may touch: lock-free atomics, and nothing else. */
static _Atomic(reactor *) example_server;
static atomic_bool example_stop_asked;

/* Runs on a thread of the program: the library blocks signals in its own. reactor_request_stop is async-signal-safe. */
static inline void example_on_signal(int number) {
  (void)number;
  atomic_store(&example_stop_asked, true);
  reactor *server = atomic_load(&example_server);
  if (server != NULL) {
    (void)reactor_request_stop(server, EXAMPLE_DRAIN_TIMEOUT_MS);
  }
}

/* To be called before the server starts: a signal that comes while it does is remembered, and stops it right after. */
static inline void example_catch_signals(void) {
  struct sigaction action = {.sa_handler = example_on_signal, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
}

static inline int example_failed(const char *what) {
  fprintf(stderr, "%s: %s\n", what, reactor_last_error());
  return EXIT_FAILURE;
}

static inline void example_print_report(const reactor_drain_report *report) {
  printf("stopped: drained=%" PRIu64 " aborted=%" PRIu64 " completed=%" PRIu64 " abandoned=%" PRIu64 " unsent=%" PRIu64
         " running=%" PRIu64 "\n",
         report->connections_drained, report->connections_aborted, report->requests_completed,
         report->requests_abandoned, report->bytes_unsent, report->callbacks_running);
  fflush(stdout);
}

/*
 * Takes what reactor_start gave, NULL for a failed start: says where it listens, waits until a signal has stopped it,
 * reports, frees it. Returns the exit code. To be called right after the start, while reactor_last_error() still tells
 * about it.
 */
static inline int example_serve(reactor *server) {
  if (server == NULL) {
    return example_failed("start");
  }
  char address[EXAMPLE_ADDRESS_BYTES];
  reactor_local_address(server, address, sizeof address);
  printf("listening on %s\n", address);
  fflush(stdout);

  atomic_store(&example_server, server);
  if (atomic_load(&example_stop_asked)) { /* while it started, when the handler had no server to stop yet */
    (void)reactor_request_stop(server, EXAMPLE_DRAIN_TIMEOUT_MS);
  }

  int exit_code = EXIT_SUCCESS;
  reactor_drain_report report = {.struct_size = sizeof report};
  reactor_status status = reactor_wait(server, &report);
  if (status != REACTOR_STATUS_OK) {
    exit_code = example_failed("wait");
  }
  if (status == REACTOR_STATUS_OK || status == REACTOR_STATUS_TIMED_OUT) { /* no other status writes the report */
    example_print_report(&report);
  }

  atomic_store(&example_server, NULL); /* free is the last use of a handle: no later signal may find it */
  if (reactor_free(server) != REACTOR_STATUS_OK) {
    exit_code = example_failed("free");
  }
  return exit_code;
}

#endif
