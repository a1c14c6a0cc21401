/*
 * Raw echo that tells what it sees: `open CONN thread=NAME`, `process len=N`, `close CONN reason=NAME os_error=N`.
 * --variant gate-open: the first on_open says `open waits` and stays until gate 0 opens; gate-process: the first process
 * call says `process waits` and does so.
 */
#include "host.h"

#include <stdatomic.h>
#include <string.h>

static bool gate_in_open, gate_in_process;
static atomic_bool passed;
static atomic_ullong opens, processes, closes;

static bool on_open(void *user_data, reactor_conn conn, const char *peer, void **conn_data) {
  (void)user_data, (void)conn_data;
  CHECK(conn != 0 && strncmp(peer, "127.0.0.1:", 10) == 0);
  opens++;
  say("open %llu thread=%s", (unsigned long long)conn, thread_name());
  if (gate_in_open && !atomic_exchange(&passed, true)) {
    say("open waits");
    host_pass_gate(0);
  }
  return true;
}

static int32_t process(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  CHECK(len > 0);
  processes++;
  say("process len=%zu thread=%s", len, thread_name());
  if (gate_in_process && !atomic_exchange(&passed, true)) {
    say("process waits");
    host_pass_gate(0);
  }
  CHECK(reactor_reply_write(reply, data, len) == REACTOR_STATUS_OK);
  return 0;
}

static void on_close(void *user_data, reactor_conn conn, uint32_t reason, int32_t os_error, void *conn_data) {
  (void)user_data, (void)conn_data;
  closes++;
  say("close %llu reason=%s os_error=%d", (unsigned long long)conn, reason_name(reason), (int)os_error);
}

static void user_data_free(void *user_data) {
  (void)user_data;
  CHECK(opens == closes);
  say("user_data_free");
}

int main(int argc, char **argv) {
  struct host host = host_new(argc, argv);
  gate_in_open = strcmp(host.variant, "gate-open") == 0;
  gate_in_process = strcmp(host.variant, "gate-process") == 0;
  reactor_options *options = host_options(&host);
  CHECK(reactor_options_set_on_open(options, on_open) == REACTOR_STATUS_OK);
  CHECK(reactor_options_set_on_close(options, on_close) == REACTOR_STATUS_OK);
  CHECK(reactor_options_set_user_data(options, NULL, user_data_free) == REACTOR_STATUS_OK);
  int status = host_run(host_start(&host, process, options));
  say("totals opens=%llu processes=%llu closes=%llu", (unsigned long long)opens, (unsigned long long)processes,
      (unsigned long long)closes);
  return status;
}
