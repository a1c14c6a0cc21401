/*
 * What a host may do around and inside its reactors, one a --variant. Each ends by itself, with status 0 if all was as it
 * should be.
 */
#define _GNU_SOURCE
#include "host.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DRAIN_MS = 20000 };

/* Which call each callback makes of its own connection. */
typedef reactor_status end_fn(reactor *reactor, reactor_conn conn);
static end_fn *_Atomic in_open, *_Atomic in_process, *_Atomic in_frame, *_Atomic in_close;

static _Thread_local bool inside;
static atomic_int opens, processes, closes;
static _Atomic reactor_conn latest;
static _Atomic reactor_conn other; /* gets a copy of what the process callback is given; 0: nobody */

static void end_here(end_fn *end, reactor_conn conn, reactor_status due) {
  if (end != NULL) {
    inside = true;
    reactor_status status = end(reactor_current(), conn);
    /* Of two requests on workers the second may find the connection that the first has cut. */
    CHECK(status == due || (end == reactor_abort && status == REACTOR_STATUS_GONE));
    inside = false;
  }
}

static bool on_open(void *user_data, reactor_conn conn, const char *peer, void **conn_data) {
  (void)user_data, (void)peer;
  CHECK(!inside);
  opens++;
  reactor_conn *own = malloc(sizeof *own);
  CHECK(own != NULL);
  *own = conn;
  latest = conn;
  *conn_data = own;
  end_here(in_open, conn, REACTOR_STATUS_OK);
  return true;
}

static int32_t process(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  CHECK(!inside && user_data == NULL);
  processes++;
  reactor_conn conn = reactor_reply_conn(reply);
  end_here(in_process, conn, REACTOR_STATUS_OK);
  reactor_conn to = other;
  if (to != 0) {
    inside = true;
    CHECK(reactor_send(reactor_current(), to, data, len) == REACTOR_STATUS_OK);
    CHECK(reactor_send(reactor_current(), conn, "mine:", 5) == REACTOR_STATUS_OK);
    inside = false;
  }
  CHECK(reactor_reply_write(reply, data, len) == REACTOR_STATUS_OK);
  return 0;
}

static ptrdiff_t frame(void *user_data, void *conn_data, const uint8_t *data, size_t len, size_t seen) {
  (void)user_data, (void)seen;
  CHECK(!inside);
  const reactor_conn *own = conn_data;
  end_here(in_frame, *own, REACTOR_STATUS_OK);
  const uint8_t *end = memchr(data, '\n', len);
  return end == NULL ? 0 : end - data + 1;
}

static void on_close(void *user_data, reactor_conn conn, uint32_t reason, int32_t os_error, void *conn_data) {
  (void)user_data, (void)reason, (void)os_error;
  CHECK(!inside);
  reactor_conn *own = conn_data;
  CHECK(own != NULL && *own == conn);
  closes++;
  end_here(in_close, conn, REACTOR_STATUS_GONE);
  *own = 0;
  free(own);
}

static reactor *start_at(const struct host *host, const char *addr, bool reuse_port) {
  reactor_options *options = host_options(host);
  CHECK(reactor_options_set_on_open(options, on_open) == REACTOR_STATUS_OK);
  CHECK(reactor_options_set_on_close(options, on_close) == REACTOR_STATUS_OK);
  CHECK(reactor_options_set_framing_custom(options, frame) == REACTOR_STATUS_OK);
  CHECK(reactor_options_set_reuse_port(options, reuse_port) == REACTOR_STATUS_OK);
  reactor *reactor = reactor_start_with(addr, host->mode, process, options);
  if (reactor == NULL) {
    die("reactor_start_with %s", addr);
  }
  reactor_options_free(options);
  return reactor;
}

static void stop_and_free(reactor *reactor) {
  reactor_drain_report report = {.struct_size = sizeof report};
  CHECK(reactor_stop(reactor, DRAIN_MS, &report) == REACTOR_STATUS_OK);
  CHECK(report.connections_aborted == 0 && report.requests_abandoned == 0 && report.bytes_unsent == 0);
  CHECK(reactor_free(reactor) == REACTOR_STATUS_OK);
}

/* All that comes until the server ends the connection, by FIN or, after an abort, by a reset. */
static size_t read_to_end(int client, char *bytes, size_t capacity, bool *reset) {
  size_t have = 0;
  for (;;) {
    ssize_t count = recv(client, bytes + have, capacity - have, 0);
    if (count <= 0) {
      CHECK(count == 0 || errno == ECONNRESET);
      *reset = count < 0;
      return have;
    }
    have += (size_t)count;
    CHECK(have < capacity);
  }
}

/* Eight servers, each with its own connections, all at once; they go in another order than they came. */
static void many_servers(const struct host *host) {
  enum { SERVERS = 8, CLIENTS = 4 };
  int descriptors = host_descriptors();
  reactor *servers[SERVERS];
  int clients[SERVERS][CLIENTS];
  char text[32];
  for (int i = 0; i < SERVERS; i++) {
    servers[i] = start_at(host, host->addr, false);
    for (int j = 0; j < CLIENTS; j++) {
      clients[i][j] = host_connect(servers[i]);
    }
  }
  for (int turn = 0; turn < 3; turn++) {
    for (int i = 0; i < SERVERS; i++) {
      for (int j = 0; j < CLIENTS; j++) {
        snprintf(text, sizeof text, "%d %d %d\n", i, j, turn);
        host_ask(clients[i][j], text, text, false);
      }
    }
  }
  for (int k = 0; k < SERVERS; k++) {
    int i = k * 3 % SERVERS;
    for (int j = 0; j < CLIENTS; j++) {
      snprintf(text, sizeof text, "last %d %d\n", i, j);
      host_ask(clients[i][j], text, text, false);
      close(clients[i][j]);
    }
    stop_and_free(servers[i]);
  }
  CHECK(opens == SERVERS * CLIENTS && closes == opens);
  CHECK(host_descriptors() == descriptors);
}

/* Two servers share a port: each connection is answered by one of them, and when one goes the other takes all. */
static void reuse_port(const struct host *host) {
  reactor *first = start_at(host, host->addr, true);
  char address[64];
  CHECK(reactor_local_address(first, address, sizeof address) < sizeof address);
  reactor *second = start_at(host, address, true);
  for (int i = 0; i < 64; i++) {
    int client = host_connect(first);
    host_ask(client, "shared\n", "shared\n", false);
    close(client);
  }
  stop_and_free(first);
  for (int i = 0; i < 16; i++) {
    int client = host_connect(second);
    host_ask(client, "alone\n", "alone\n", false);
    close(client);
  }
  stop_and_free(second);
  CHECK(processes == 80 && closes == opens);
}

/* A child that has the parent's descriptors, closes them all and ends takes nothing from the parent's connections. */
static void fork_in_the_host(const struct host *host) {
  reactor *server = start_at(host, host->addr, false);
  int client = host_connect(server);
  host_ask(client, "before\n", "before\n", false);
  for (int i = 0; i < 8; i++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      for (int fd = 3; fd < 1024; fd++) {
        close(fd);
      }
      _exit(7);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    host_ask(client, "after\n", "after\n", false);
    int late = host_connect(server);
    host_ask(late, "later\n", "later\n", false);
    close(late);
  }
  close(client);
  stop_and_free(server);
  CHECK(opens == 9 && closes == 9);
}

/* A client of a child that lives on: the child holds copies of the sockets, and the peer sees the end all the same. */
static void fork_and_end_a_connection(const struct host *host) {
  reactor *server = start_at(host, host->addr, false);
  int client = host_connect(server);
  host_ask(client, "before\n", "before\n", false);
  int gate[2];
  CHECK(pipe(gate) == 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    char byte;
    close(gate[1]);
    _exit(read(gate[0], &byte, 1) == 0 ? 0 : 1); /* holds all descriptors until the parent closes the gate */
  }
  in_process = reactor_close;
  host_ask(client, "last\n", "last\n", true);
  close(client);
  in_process = NULL;
  stop_and_free(server);
  close(gate[1]);
  int status;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(opens == 1 && closes == 1);
}

/* The callback named ends its own connection, in good order or at once, a hundred times, beside one that goes on. */
static void ends_in_callback(const struct host *host, const char *where, end_fn *end) {
  reactor *server = start_at(host, host->addr, false);
  int bystander = host_connect(server);
  host_ask(bystander, "ping\n", "ping\n", false);
  /* From here on; the bystander is served only when it is over again, in the turns between. */
  for (int i = 0; i < 100; i++) {
    end_fn *_Atomic *place = strcmp(where, "open") == 0      ? &in_open
                     : strcmp(where, "process") == 0 ? &in_process
                     : strcmp(where, "frame") == 0   ? &in_frame
                                                     : &in_close;
    *place = end;
    int client = host_connect(server);
    char bytes[64];
    bool reset = false;
    if (send(client, "one\ntwo\n", 8, MSG_NOSIGNAL) != 8) {
      CHECK(errno == EPIPE || errno == ECONNRESET); /* it was ended before */
    }
    if (place == &in_close) {
      CHECK(shutdown(client, SHUT_WR) == 0);
    }
    size_t have = read_to_end(client, bytes, sizeof bytes, &reset);
    CHECK(have <= 8 && memcmp(bytes, "one\ntwo\n", have) == 0);
    /* What was admitted is answered in good order. */
    CHECK(place != &in_close || (have == 8 && !reset));
    CHECK(place != &in_process || end != reactor_close || (have >= 4 && !reset));
    close(client);
    while (closes < i + 1) {
      usleep(100); /* on_close comes after the client has seen the end; an event there is none */
    }
    *place = NULL;
    host_ask(bystander, "pong\n", "pong\n", false);
  }
  close(bystander);
  stop_and_free(server);
  CHECK(opens == 101 && closes == 101);
}

/* While a connection is read, its callback writes to another and to itself: both arrive, its own before its reply. */
static void writes_in_a_read_callback(const struct host *host) {
  reactor *server = start_at(host, host->addr, false);
  int listener = host_connect(server);
  host_ask(listener, "who\n", "who\n", false);
  other = latest;
  int speaker = host_connect(server);
  char text[32], heard[40];
  for (int i = 0; i < 200; i++) {
    snprintf(text, sizeof text, "line %d\n", i);
    snprintf(heard, sizeof heard, "mine:line %d\n", i);
    host_ask(speaker, text, heard, false);
    host_ask(listener, "", text, false);
  }
  close(speaker);
  close(listener);
  stop_and_free(server);
}

static int connect_unix(const char *path) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  CHECK(strlen(path) < sizeof to.sun_path);
  strcpy(to.sun_path, path);
  int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(client >= 0 && connect(client, (struct sockaddr *)&to, sizeof to) == 0);
  return client;
}

/* A socket file that a live server has is in use, and the server goes on; a path beyond sun_path is no address. */
static void unix_paths(const struct host *host) {
  char folder[] = "/tmp/reactor-peer-XXXXXX", addr[160];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(addr, sizeof addr, "unix:%s/socket", folder);
  reactor *server = start_at(host, addr, false);
  CHECK(reactor_start(addr, host->mode, process) == NULL);
  CHECK(reactor_last_status() == REACTOR_STATUS_ADDRESS_IN_USE);
  int client = connect_unix(addr + 5);
  host_ask(client, "still here\n", "still here\n", false);
  close(client);
  stop_and_free(server);
  CHECK(access(addr + 5, F_OK) != 0); /* removed with its server */
  char longest[160];
  int len = snprintf(longest, sizeof longest, "unix:%s/", folder);
  memset(longest + len, 'x', 120);
  longest[len + 120] = '\0';
  CHECK(reactor_start(longest, host->mode, process) == NULL);
  CHECK(reactor_last_status() == REACTOR_STATUS_INVALID_ADDRESS);
  CHECK(rmdir(folder) == 0);
}

int main(int argc, char **argv) {
  struct host host = host_new(argc, argv);
  const char *variant = host.variant;
  if (strcmp(variant, "many-servers") == 0) {
    many_servers(&host);
  } else if (strcmp(variant, "reuse-port") == 0) {
    reuse_port(&host);
  } else if (strcmp(variant, "fork") == 0) {
    fork_in_the_host(&host);
  } else if (strcmp(variant, "fork-holds-sockets") == 0) {
    fork_and_end_a_connection(&host);
  } else if (strncmp(variant, "close-in-", 9) == 0) {
    ends_in_callback(&host, variant + 9, reactor_close);
  } else if (strncmp(variant, "abort-in-", 9) == 0) {
    ends_in_callback(&host, variant + 9, reactor_abort);
  } else if (strcmp(variant, "write-in-read") == 0) {
    writes_in_a_read_callback(&host);
  } else if (strcmp(variant, "unix-paths") == 0) {
    unix_paths(&host);
  } else {
    die("no variant: %s", variant);
  }
  return 0;
}
