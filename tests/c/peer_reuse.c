/*
 * Connections come and go as fast as they can, so that their slots are used again at once, while other threads push to them
 * and answer late: whatever a client reads is meant for it. --variant N: so many connections of each of four clients. Ends by
 * itself.
 *
 * The first line of each connection is `you ID`; all that is pushed to it is `for ID`, all that is answered `ans ID`.
 */
#define _GNU_SOURCE
#include "host.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 4, PLACES = 16, PROMISES = 64, MAX_LINE = 40 };

static reactor *server;
static _Atomic reactor_conn latest[PLACES]; /* the connections that opened last */
static atomic_uint opens;
static atomic_bool over;
static atomic_ullong pushed, promised, gone;

static struct {
  pthread_mutex_t lock;
  struct {
    reactor_deferred *deferred;
    reactor_conn conn;
  } places[PROMISES];
  unsigned count;
} promises = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int line_of(char *line, const char *word, reactor_conn conn) {
  return snprintf(line, MAX_LINE, "%s %llu\n", word, (unsigned long long)conn);
}

static bool on_open(void *user_data, reactor_conn conn, const char *peer, void **conn_data) {
  (void)user_data, (void)peer, (void)conn_data;
  char line[MAX_LINE];
  int len = line_of(line, "you", conn);
  CHECK(reactor_send(reactor_current(), conn, line, (size_t)len) == REACTOR_STATUS_OK);
  latest[opens++ % PLACES] = conn;
  return true;
}

static int32_t process(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data, (void)data, (void)len;
  reactor_conn conn = reactor_reply_conn(reply);
  reactor_deferred *deferred = reactor_reply_defer(reply);
  CHECK(deferred != NULL);
  pthread_mutex_lock(&promises.lock);
  if (promises.count < PROMISES) {
    promises.places[promises.count].deferred = deferred;
    promises.places[promises.count++].conn = conn;
    deferred = NULL;
  }
  pthread_mutex_unlock(&promises.lock);
  if (deferred != NULL) {
    CHECK(reactor_deferred_fail(deferred) != REACTOR_STATUS_PANIC);
  }
  return 0;
}

static void *pushes(void *argument) {
  (void)argument;
  for (unsigned turn = 0; !over; turn++) {
    reactor_conn conn = latest[turn % PLACES];
    if (conn == 0) {
      continue;
    }
    char line[MAX_LINE];
    int len = line_of(line, "for", conn);
    reactor_status status = reactor_send(server, conn, line, (size_t)len);
    CHECK(status == REACTOR_STATUS_OK || status == REACTOR_STATUS_GONE || status == REACTOR_STATUS_OVER_LIMIT);
    pushed += status == REACTOR_STATUS_OK;
    gone += status == REACTOR_STATUS_GONE;
    usleep(20); /* less than a connection lasts, and no flood */
  }
  return NULL;
}

static void *keeps_promises(void *argument) {
  (void)argument;
  while (!over || promises.count > 0) {
    pthread_mutex_lock(&promises.lock);
    reactor_deferred *deferred = NULL;
    reactor_conn conn = 0;
    if (promises.count > 0) {
      deferred = promises.places[--promises.count].deferred;
      conn = promises.places[promises.count].conn;
    }
    pthread_mutex_unlock(&promises.lock);
    if (deferred == NULL) {
      usleep(50);
      continue;
    }
    char line[MAX_LINE];
    int len = line_of(line, "ans", conn);
    reactor_status status = reactor_deferred_complete(deferred, line, (size_t)len);
    CHECK(status == REACTOR_STATUS_OK || status == REACTOR_STATUS_GONE);
    promised++;
  }
  return NULL;
}

/* One connection: learns its name, asks, reads a little, and goes in one of three ways. Every line is its own. */
static void visit(unsigned number) {
  int client = host_connect(server);
  CHECK(send(client, "go\n", 3, MSG_NOSIGNAL) == 3);
  char bytes[4096], due[3][MAX_LINE];
  size_t have = 0;
  unsigned long long own = 0;
  unsigned lines = 0, enough = number % 4 == 3 ? 6 : 1;
  struct timeval patience = {.tv_usec = 2000};
  CHECK(enough == 1 || setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
  while (lines < enough && have < sizeof bytes - 1) {
    ssize_t count = recv(client, bytes + have, sizeof bytes - 1 - have, 0);
    if (count <= 0) {
      break; /* nothing more came, or its promise was failed for want of room */
    }
    have += (size_t)count;
    bytes[have] = '\0';
    char *at = bytes, *end;
    while ((end = strchr(at, '\n')) != NULL) {
      if (lines++ == 0) {
        CHECK(sscanf(at, "you %llu\n", &own) == 1);
        line_of(due[0], "for", own), line_of(due[1], "ans", own), line_of(due[2], "you", own);
      } else {
        size_t len = (size_t)(end - at) + 1;
        if (strncmp(at, due[0], len) != 0 && strncmp(at, due[1], len) != 0) {
          die("connection %llu got '%.*s'", own, (int)len - 1, at);
        }
      }
      at = end + 1;
    }
    have = strlen(at);
    memmove(bytes, at, have + 1);
  }
  if (number % 3 == 0) {
    struct linger reset = {.l_onoff = 1};
    CHECK(setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
  } else if (number % 3 == 1) {
    shutdown(client, SHUT_WR);
  }
  close(client);
}

static void *visits(void *argument) {
  unsigned count = *(unsigned *)argument;
  for (unsigned number = 0; number < count; number++) {
    visit(number);
  }
  return NULL;
}

int main(int argc, char **argv) {
  struct host host = host_new(argc, argv);
  unsigned count = (unsigned)strtoul(host.variant, NULL, 10);
  CHECK(count > 0);
  reactor_options *options = host_options(&host);
  CHECK(reactor_options_set_on_open(options, on_open) == REACTOR_STATUS_OK);
  CHECK(reactor_options_set_framing_delimiter(options, "\n", 1, false) == REACTOR_STATUS_OK);
  server = reactor_start_with(host.addr, host.mode, process, options);
  CHECK(server != NULL);
  reactor_options_free(options);
  pthread_t pushers[2], keeper, clients[CLIENTS];
  CHECK(pthread_create(&keeper, NULL, keeps_promises, NULL) == 0);
  for (int i = 0; i < 2; i++) {
    CHECK(pthread_create(&pushers[i], NULL, pushes, NULL) == 0);
  }
  for (int i = 0; i < CLIENTS; i++) {
    CHECK(pthread_create(&clients[i], NULL, visits, &count) == 0);
  }
  for (int i = 0; i < CLIENTS; i++) {
    CHECK(pthread_join(clients[i], NULL) == 0);
  }
  over = true;
  for (int i = 0; i < 2; i++) {
    CHECK(pthread_join(pushers[i], NULL) == 0);
  }
  CHECK(pthread_join(keeper, NULL) == 0);
  CHECK(reactor_stop(server, 20000, NULL) == REACTOR_STATUS_OK && reactor_free(server) == REACTOR_STATUS_OK);
  say("opens=%u pushed=%llu gone=%llu promised=%llu", opens, (unsigned long long)pushed, (unsigned long long)gone,
      (unsigned long long)promised);
  return 0;
}
