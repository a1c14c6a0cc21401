/*
 * A host with a fault in it, one a --variant, which a sanitizer has to report: what it shows is that the sanitizer is on.
 *   heap   a callback replies with bytes that it has freed: the library reads them
 *   race   a callback pushes bytes that another thread of the host writes at the same time: the library reads them
 *   leak   a callback loses what it allocated
 * Ends by itself.
 */
#define _GNU_SOURCE
#include "host.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *variant;
static char shared[64];
static atomic_bool over;

static int32_t process(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  if (strcmp(variant, "heap") == 0) {
    uint8_t *volatile freed = malloc(64);
    memset(freed, 'x', 64);
    free(freed);
    reactor_reply_write(reply, freed, 64);
  } else if (strcmp(variant, "race") == 0) {
    reactor_send(reactor_current(), reactor_reply_conn(reply), shared, sizeof shared);
  } else if (strcmp(variant, "leak") == 0) {
    char *volatile lost = malloc(100);
    lost[0] = (char)data[0];
  }
  reactor_reply_write(reply, data, len);
  return 0;
}

static void *scribble(void *argument) {
  (void)argument;
  while (!atomic_load(&over)) {
    for (size_t i = 0; i < sizeof shared; i++) {
      shared[i]++;
    }
  }
  return NULL;
}

int main(int argc, char **argv) {
  struct host host = host_new(argc, argv);
  variant = host.variant;
  reactor *server = reactor_start(host.addr, host.mode, process);
  CHECK(server != NULL);
  pthread_t writer;
  CHECK(pthread_create(&writer, NULL, scribble, NULL) == 0);
  char bytes[256];
  for (int i = 0; i < 20; i++) {
    int client = host_connect(server);
    CHECK(write(client, "ping", 4) == 4 && read(client, bytes, sizeof bytes) > 0);
    close(client);
  }
  atomic_store(&over, true);
  CHECK(pthread_join(writer, NULL) == 0);
  CHECK(reactor_stop(server, 10000, NULL) == REACTOR_STATUS_OK && reactor_free(server) == REACTOR_STATUS_OK);
  return 0;
}
