/*
 * What callbacks may rely on, checked from inside each of them: reactor_current, user_data, conn_data, the calls that are
 * refused there, and the order of the last calls. Echoes. Prints `current` for each callback checked and, last of all,
 * `user_data_free`.
 */
#include "host.h"

#include <stdatomic.h>
#include <string.h>

struct connection {
  reactor_conn conn;
  bool closed;
};

static struct user {
  _Atomic(reactor *) handle;
  atomic_bool freed;
  atomic_int open;
  struct connection connections[64];
} user;

/* The handle that callbacks see is one and the same, before reactor_start_with has returned it to main too. */
static void learn_handle(reactor *seen) {
  reactor *expected = NULL;
  CHECK(seen != NULL);
  CHECK(atomic_compare_exchange_strong(&user.handle, &expected, seen) || expected == seen);
}

static void check_inside(void *user_data, const char *name) {
  CHECK(user_data == &user && !user.freed);
  reactor *now = reactor_current();
  learn_handle(now);
  char address[64] = "";
  CHECK(reactor_local_address(now, address, sizeof address) == strlen(address));
  CHECK(strncmp(address, "127.0.0.1:", 10) == 0);
  reactor_drain_report report = {.struct_size = sizeof report, .bytes_unsent = 77};
  CHECK(reactor_wait(now, &report) == REACTOR_STATUS_WOULD_DEADLOCK);
  CHECK(reactor_last_status() == REACTOR_STATUS_WOULD_DEADLOCK && reactor_last_error()[0] != '\0');
  CHECK(report.bytes_unsent == 77); /* outputs are written only on success */
  CHECK(reactor_free(now) == REACTOR_STATUS_WOULD_DEADLOCK);
  CHECK(reactor_current() == now);
  say("current %s", name);
}

static bool on_open(void *user_data, reactor_conn conn, const char *peer, void **conn_data) {
  check_inside(user_data, "open");
  CHECK(*conn_data == NULL && strncmp(peer, "127.0.0.1:", 10) == 0);
  int index = user.open++;
  CHECK(index < 64);
  struct connection *connection = &user.connections[index];
  connection->conn = conn;
  *conn_data = connection;
  return true;
}

static int32_t process(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  check_inside(user_data, "process");
  struct connection *connection = reactor_reply_conn_data(reply);
  CHECK(connection != NULL && !connection->closed && connection->conn == reactor_reply_conn(reply));
  CHECK(reactor_reply_write(reply, data, len) == REACTOR_STATUS_OK);
  return 0;
}

static void on_close(void *user_data, reactor_conn conn, uint32_t reason, int32_t os_error, void *conn_data) {
  check_inside(user_data, "close");
  CHECK(reason == REACTOR_CLOSE_PEER || reason == REACTOR_CLOSE_SHUTDOWN);
  CHECK(os_error == 0);
  struct connection *connection = conn_data;
  CHECK(connection != NULL && connection->conn == conn && !connection->closed);
  connection->closed = true;
}

static void user_data_free(void *user_data) {
  CHECK(user_data == &user && !atomic_exchange(&user.freed, true));
  for (int i = 0; i < user.open; i++) {
    CHECK(user.connections[i].closed);
  }
  say("user_data_free");
}

int main(int argc, char **argv) {
  struct host host = host_new(argc, argv);
  CHECK(reactor_current() == NULL);
  reactor_options *options = host_options(&host);
  CHECK(reactor_options_set_user_data(options, &user, user_data_free) == REACTOR_STATUS_OK);
  CHECK(reactor_options_set_on_open(options, on_open) == REACTOR_STATUS_OK);
  CHECK(reactor_options_set_on_close(options, on_close) == REACTOR_STATUS_OK);
  reactor *reactor = host_start(&host, process, options);
  learn_handle(reactor);
  CHECK(reactor_current() == NULL);
  int status = host_run(reactor);
  CHECK(user.freed && reactor_current() == NULL);
  return status;
}
