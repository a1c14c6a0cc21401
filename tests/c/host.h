/*
 * What the test programs have in common: their command line, the start, the commands on standard input, the report.
 * Knows nothing of what a program serves.
 *
 * Every program takes --addr HOST:PORT, --mode single|pooled|multi, --workers N, --reactors N, --max-connections N,
 * --nofile N (its own descriptor limit) and --variant NAME (what this run is to do, where a program can do several
 * things). It prints `listening on ADDRESS`, then what happens, a line each.
 */
#ifndef HOST_H
#define HOST_H

#include "reactor.h"

#include <stdbool.h>
#include <stdint.h>

struct host {
  const char *addr;
  uint32_t mode;
  uint32_t workers;         /* 0: not given */
  uint32_t reactors;        /* 0: not given */
  uint32_t max_connections; /* 0: not given */
  const char *variant;      /* "" : not given */
};

/* Prints one line, whole even where threads print at once. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints to stderr what was not as it should be, and the library's last error, and ends the program with status 1. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Dies unless the condition holds. */
#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      die("%s:%d: %s", __FILE__, __LINE__, #condition);                                                                \
    }                                                                                                                  \
  } while (0)

/* Reads the command line, sets the descriptor limit. */
struct host host_new(int argc, char **argv);
/* New options with what the command line says. */
reactor_options *host_options(const struct host *host);
/* Starts the server and says where it listens. The options are freed. Checks that the host's signal dispositions,
   SIGPIPE first of all, are still what they were: the default. */
reactor *host_start(const struct host *host, reactor_process_fn process, reactor_options *options);
/* Obeys standard input: `go 0` and `go 1` open the gates, `stop MS` and, unless that came, the end of the input (10 s) request the
   stop. Waits for it, prints `wait STATUS` and the report; after TIMED_OUT waits for the end of the input; frees, prints
   `free STATUS`. Returns what main returns. */
int host_run(reactor *reactor);

/* There are two gates, 0 and 1. Each is closed until standard input says `go 0` or `go 1`. */
void host_pass_gate(unsigned gate);

/* A client socket connected to the reactor, whose reads end after 30 s. */
int host_connect(const reactor *reactor);
/* Sends text, and reads exactly what is due; with end, what is due is all before the FIN. */
void host_ask(int client, const char *text, const char *due, bool end);
/* An address, with port 0, of this process alone: to start at again, and nobody else's client gets its port
   meanwhile. */
const char *host_own_address(void);
/* How many descriptors this process has open. */
int host_descriptors(void);

const char *reason_name(uint32_t reason);
/* The name of the calling thread. Not for two calls at once in one thread. */
const char *thread_name(void);

#endif
