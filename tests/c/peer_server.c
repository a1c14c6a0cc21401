/*
 * A server for the tests that the field's suites suggest, the faults and the load: each line is a request that says what
 * to do.
 *   echo TEXT      the line itself                 write N        N bytes, a..z again and again
 *   close N        N bytes, then close             nap US         the line itself, after US microseconds
 *   sends N M      N pushes of M bytes, numbered, then "end\n"
 *   cast N         a broadcast of N bytes, then "end\n"
 *   shut N         reactor_close of its own connection, N times, then "bye\n"
 *   abort          cuts its own connection         fail           the callback fails
 *   fail_later     defers its reply, and fails it
 *   gate           says `process waits` and stays until gate 0 opens, then "gate\n"
 *   stats          what the reactor has counted    count          nothing, and says `counted`
 * With raw framing: echo.
 *
 * --variant is a list of NAME=VALUE, with commas between: framing=line|raw, order=serial|parallel|unordered, and high, low,
 * output, memory, frame, in_flight, frame_ms, write_ms, idle_ms as the options of these names; quiet=1 says no more than
 * the totals; take=NAME opens files in on_close, so that descriptor numbers are used again at once; preload=PATH and
 * faults=TEXT run the program anew with that library before all others.
 * Says `open CONN` and `close CONN reason=NAME os_error=N`, then `totals opens=N processes=N closes=N`.
 *
 * Checks in each callback that it is not called from inside a call of this library, that no callback of its connection comes
 * after its close, that requests of one connection do not run at once in SERIAL, and that no request is empty.
 */
#define _GNU_SOURCE
#include "host.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct connection {
  reactor_conn conn;
  atomic_int running;
};

static bool quiet, raw, serial = true, takes_descriptors;
static atomic_ullong opens, processes, closes;

/* Set while this thread is in a call of the library: a callback that finds it set was called from inside one. */
static _Thread_local bool inside;
#define CALL(expression)                                                                                               \
  (__extension__({                                                                                                     \
    inside = true;                                                                                                     \
    __typeof__(expression) result_ = (expression);                                                                     \
    inside = false;                                                                                                    \
    result_;                                                                                                           \
  }))

static bool on_open(void *user_data, reactor_conn conn, const char *peer, void **conn_data) {
  (void)user_data, (void)peer;
  CHECK(!inside && conn != 0 && *conn_data == NULL);
  struct connection *connection = calloc(1, sizeof *connection);
  CHECK(connection != NULL);
  connection->conn = conn;
  *conn_data = connection;
  opens++;
  if (!quiet) {
    say("open %llu", (unsigned long long)conn);
  }
  return true;
}

static void write_pattern(reactor_reply *reply, size_t len) {
  uint8_t *bytes = CALL(reactor_reply_reserve(reply, len));
  CHECK(bytes != NULL);
  for (size_t i = 0; i < len && i < 26; i++) {
    bytes[i] = (uint8_t)('a' + i);
  }
  /* By doubling: where time is measured, it should not be this program's. */
  for (size_t have = 26; have < len; have *= 2) {
    memcpy(bytes + have, bytes, have < len - have ? have : len - have);
  }
  CHECK(CALL(reactor_reply_commit(reply, len)) == REACTOR_STATUS_OK);
}

static void write_text(reactor_reply *reply, const char *text) {
  CHECK(CALL(reactor_reply_write(reply, text, strlen(text))) == REACTOR_STATUS_OK);
}

/* Message N of M bytes begins with its number and is filled up with dots. */
static void sends(reactor_conn conn, unsigned long count, unsigned long len) {
  char *message = malloc(len + 16);
  CHECK(message != NULL && len >= 8);
  for (unsigned long i = 0; i < count; i++) {
    memset(message, '.', len);
    char number[16];
    int digits = snprintf(number, sizeof number, "#%06lu:", i);
    memcpy(message, number, (size_t)digits);
    CHECK(CALL(reactor_send(reactor_current(), conn, message, len)) == REACTOR_STATUS_OK);
  }
  free(message);
}

static void cast(unsigned long len) {
  char *message = malloc(len + 1);
  CHECK(message != NULL);
  memset(message, '*', len);
  CHECK(CALL(reactor_broadcast(reactor_current(), message, len, NULL)) == REACTOR_STATUS_OK);
  free(message);
}

static void write_stats(reactor_reply *reply) {
  reactor_stats stats = {.struct_size = sizeof stats};
  CHECK(CALL(reactor_get_stats(reactor_current(), REACTOR_ALL, &stats)) == REACTOR_STATUS_OK);
  char text[256];
  snprintf(text, sizeof text,
           "open=%llu in_flight=%llu memory=%llu paused=%llu requests=%llu replies=%llu failures=%llu\n",
           (unsigned long long)stats.connections_open, (unsigned long long)stats.requests_in_flight,
           (unsigned long long)stats.memory_bytes, (unsigned long long)stats.reads_paused,
           (unsigned long long)stats.requests, (unsigned long long)stats.replies,
           (unsigned long long)stats.callback_failures);
  write_text(reply, text);
}

static int32_t obey(const char *line, size_t len, reactor_reply *reply) {
  reactor_conn conn = reactor_reply_conn(reply);
  char verb[16] = "";
  unsigned long n = 0, m = 0;
  CHECK(sscanf(line, "%15s %lu %lu", verb, &n, &m) >= 1);
  if (strcmp(verb, "echo") == 0) {
    CHECK(CALL(reactor_reply_write(reply, line, len)) == REACTOR_STATUS_OK);
  } else if (strcmp(verb, "write") == 0) {
    write_pattern(reply, n);
  } else if (strcmp(verb, "close") == 0) {
    write_pattern(reply, n);
    CHECK(CALL(reactor_reply_close(reply)) == REACTOR_STATUS_OK);
  } else if (strcmp(verb, "nap") == 0) {
    usleep((useconds_t)n);
    CHECK(CALL(reactor_reply_write(reply, line, len)) == REACTOR_STATUS_OK);
  } else if (strcmp(verb, "sends") == 0) {
    sends(conn, n, m);
    write_text(reply, "end\n");
  } else if (strcmp(verb, "cast") == 0) {
    cast(n);
    write_text(reply, "end\n");
  } else if (strcmp(verb, "shut") == 0) {
    for (unsigned long i = 0; i < n; i++) {
      CHECK(CALL(reactor_close(reactor_current(), conn)) == REACTOR_STATUS_OK);
    }
    write_text(reply, "bye\n");
  } else if (strcmp(verb, "abort") == 0) {
    CHECK(CALL(reactor_abort(reactor_current(), conn)) == REACTOR_STATUS_OK);
  } else if (strcmp(verb, "gate") == 0) {
    say("process waits");
    host_pass_gate(0);
    write_text(reply, "gate\n");
  } else if (strcmp(verb, "stats") == 0) {
    write_stats(reply);
  } else if (strcmp(verb, "count") == 0) {
    say("counted");
  } else if (strcmp(verb, "fail_later") == 0) {
    reactor_deferred *deferred = CALL(reactor_reply_defer(reply));
    CHECK(deferred != NULL);
    CHECK(CALL(reactor_deferred_fail(deferred)) == REACTOR_STATUS_OK);
  } else {
    CHECK(strcmp(verb, "fail") == 0);
    return 1;
  }
  return 0;
}

static int32_t process(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  struct connection *connection = reactor_reply_conn_data(reply);
  CHECK(!inside && len > 0 && connection != NULL && connection->conn == reactor_reply_conn(reply));
  int others = atomic_fetch_add(&connection->running, 1);
  CHECK(others == 0 || !serial);
  processes++;
  int32_t result = 0;
  if (raw) {
    CHECK(CALL(reactor_reply_write(reply, data, len)) == REACTOR_STATUS_OK);
  } else {
    CHECK(data[len - 1] == '\n');
    char short_line[256], *line = len < sizeof short_line ? short_line : malloc(len + 1);
    CHECK(line != NULL);
    memcpy(line, data, len);
    line[len] = '\0';
    result = obey(line, len, reply);
    if (line != short_line) {
      free(line);
    }
  }
  CHECK(connection->conn == reactor_reply_conn(reply));
  atomic_fetch_sub(&connection->running, 1);
  return result;
}

static void on_close(void *user_data, reactor_conn conn, uint32_t reason, int32_t os_error, void *conn_data) {
  (void)user_data;
  struct connection *connection = conn_data;
  CHECK(!inside && connection != NULL && connection->conn == conn && connection->running == 0);
  CHECK((reason == REACTOR_CLOSE_RESET) == (os_error != 0));
  CHECK(CALL(reactor_send(reactor_current(), conn, "late", 4)) == REACTOR_STATUS_GONE);
  if (takes_descriptors) {
    /* The lowest number that is free, which a connection may just have given back. Kept open for a few closes. */
    static _Thread_local int kept[8];
    int *place = &kept[closes % 8];
    if (*place != 0) {
      close(*place);
    }
    *place = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(*place > 0);
  }
  connection->conn = 0; /* a callback that comes after this one sees it, or the sanitizer does */
  free(connection);
  closes++;
  if (!quiet) {
    say("close %llu reason=%s os_error=%d", (unsigned long long)conn, reason_name(reason), (int)os_error);
  }
}

static size_t number(const char *text) {
  char *end;
  unsigned long long value = strtoull(text, &end, 10);
  CHECK(end != text && *end == '\0');
  return (size_t)value;
}

struct settings {
  size_t low, high;
  const char *preload, *faults;
};

#define SETS(call) CHECK((call) == REACTOR_STATUS_OK)

static void set(reactor_options *options, struct settings *settings, const char *name, const char *value) {
  if (strcmp(name, "framing") == 0) {
    raw = strcmp(value, "raw") == 0;
    CHECK(raw || strcmp(value, "line") == 0);
  } else if (strcmp(name, "order") == 0) {
    serial = value[0] == 's';
    SETS(reactor_options_set_order(options, serial              ? REACTOR_ORDER_SERIAL
                                            : value[0] == 'p' ? REACTOR_ORDER_PARALLEL
                                                              : REACTOR_ORDER_UNORDERED));
  } else if (strcmp(name, "high") == 0) {
    settings->high = number(value);
  } else if (strcmp(name, "low") == 0) {
    settings->low = number(value);
  } else if (strcmp(name, "output") == 0) {
    SETS(reactor_options_set_output_limit_bytes(options, number(value)));
  } else if (strcmp(name, "memory") == 0) {
    SETS(reactor_options_set_memory_limit_bytes(options, number(value)));
  } else if (strcmp(name, "frame") == 0) {
    SETS(reactor_options_set_max_frame_bytes(options, number(value)));
  } else if (strcmp(name, "in_flight") == 0) {
    SETS(reactor_options_set_max_in_flight(options, (uint32_t)number(value)));
  } else if (strcmp(name, "frame_ms") == 0) {
    SETS(reactor_options_set_frame_timeout_ms(options, (uint32_t)number(value)));
  } else if (strcmp(name, "write_ms") == 0) {
    SETS(reactor_options_set_write_timeout_ms(options, (uint32_t)number(value)));
  } else if (strcmp(name, "idle_ms") == 0) {
    SETS(reactor_options_set_idle_timeout_ms(options, (uint32_t)number(value)));
  } else if (strcmp(name, "quiet") == 0) {
    quiet = number(value) != 0;
  } else if (strcmp(name, "take") == 0) {
    takes_descriptors = number(value) != 0;
  } else if (strcmp(name, "preload") == 0) {
    settings->preload = value;
  } else if (strcmp(name, "faults") == 0) {
    settings->faults = value;
  } else {
    die("no setting: %s", name);
  }
}

/* Runs this program anew under the shim, so that its calls are the only ones to go through it. */
static void preload(const struct settings *settings, char **argv) {
  if (settings->preload != NULL && getenv("REACTOR_FAULTS") == NULL) {
    CHECK(settings->faults != NULL);
    CHECK(setenv("REACTOR_FAULTS", settings->faults, 1) == 0 && setenv("LD_PRELOAD", settings->preload, 1) == 0);
    execv("/proc/self/exe", argv);
    die("running itself anew");
  }
}

int main(int argc, char **argv) {
  struct host host = host_new(argc, argv);
  reactor_options *options = host_options(&host);
  struct settings settings = {.low = 0, .high = 0};
  char *list = strdup(host.variant), *rest = list;
  CHECK(list != NULL);
  for (char *item = strsep(&rest, ","); item != NULL && *item != '\0'; item = strsep(&rest, ",")) {
    char *value = strchr(item, '=');
    CHECK(value != NULL);
    *value = '\0';
    set(options, &settings, item, value + 1);
  }
  preload(&settings, argv);
  if (settings.high != 0) {
    SETS(reactor_options_set_output_water_marks(options, settings.low, settings.high));
  }
  if (!raw) {
    SETS(reactor_options_set_framing_delimiter(options, "\n", 1, false));
  }
  SETS(reactor_options_set_on_open(options, on_open));
  SETS(reactor_options_set_on_close(options, on_close));
  int status = host_run(host_start(&host, process, options));
  say("totals opens=%llu processes=%llu closes=%llu", (unsigned long long)opens, (unsigned long long)processes,
      (unsigned long long)closes);
  free(list);
  return status;
}
