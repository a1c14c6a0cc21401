/*
 * Each line is a request that says what to answer; N counts bytes of the reply, which repeats a..z from `a` on:
 *   write N      in one piece          pieces N   one call a byte
 *   reserve N    in place              mixed N    reserved and written in turn, more reserved than committed
 *   silent       nothing at all        empty      (NULL, 0)
 *   close N      N bytes, then close   fail N     N bytes, then the callback fails
 *   over N       N bytes, after tries to pass the output limit that must be refused
 *   say          nothing, and says `said`
 *   gate         nothing, says `process waits` and stays until gate 0 opens
 * Says `open CONN` and `close CONN reason=NAME os_error=N`. --variant refuse: on_open takes every other connection;
 * gate-open: on_open of the second says `open waits` and stays until gate 1 opens.
 */
#include "host.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char delimiter[] = {'\n'};
static bool refuses, gate_in_open;
static atomic_ullong offered, opens, closes;

static bool on_open(void *user_data, reactor_conn conn, const char *peer, void **conn_data) {
  (void)user_data, (void)peer;
  if (refuses && offered++ % 2 == 1) {
    say("refused");
    return false;
  }
  if (++opens == 2 && gate_in_open) {
    say("open waits");
    host_pass_gate(1);
  }
  reactor_conn *own = malloc(sizeof *own);
  CHECK(own != NULL && *conn_data == NULL);
  *own = conn;
  *conn_data = own;
  say("open %llu", (unsigned long long)conn);
  return true;
}

static void fill(uint8_t *to, size_t len, size_t from) {
  for (size_t i = 0; i < len; i++) {
    to[i] = (uint8_t)('a' + (from + i) % 26);
  }
}

static void write_pattern(reactor_reply *reply, size_t len, size_t from) {
  uint8_t *bytes = malloc(len + 1);
  CHECK(bytes != NULL);
  fill(bytes, len, from);
  CHECK(reactor_reply_write(reply, bytes, len) == REACTOR_STATUS_OK);
  free(bytes);
}

static void reserve_pattern(reactor_reply *reply, size_t reserved, size_t committed, size_t from) {
  uint8_t *bytes = reactor_reply_reserve(reply, reserved);
  CHECK(bytes != NULL);
  memset(bytes, '!', reserved);
  fill(bytes, committed, from);
  CHECK(reactor_reply_commit(reply, committed) == REACTOR_STATUS_OK);
}

static void mixed(reactor_reply *reply, size_t len) {
  size_t done = 0;
  for (size_t turn = 0; done < len; turn++) {
    size_t part = len - done < 1000 + turn ? len - done : 1000 + turn;
    if (turn % 2 == 0) {
      reserve_pattern(reply, part + 64, part, done);
    } else {
      CHECK(reactor_reply_reserve(reply, 100) != NULL); /* never committed: given back by the next call */
      write_pattern(reply, part, done);
    }
    done += part;
  }
}

static void over(reactor_reply *reply, size_t len) {
  static uint8_t large[4 * 1024 * 1024 + 1]; /* the default output limit, and one byte */
  CHECK(reactor_reply_write(reply, large, sizeof large) == REACTOR_STATUS_OVER_LIMIT);
  CHECK(reactor_last_status() == REACTOR_STATUS_OVER_LIMIT && reactor_last_error()[0] != '\0');
  write_pattern(reply, len, 0);
  CHECK(reactor_reply_write(reply, large, sizeof large - len) == REACTOR_STATUS_OVER_LIMIT);
  CHECK(reactor_reply_reserve(reply, sizeof large - len) == NULL);
  CHECK(reactor_last_status() == REACTOR_STATUS_OVER_LIMIT);
  CHECK(reactor_reply_reserve(reply, SIZE_MAX) == NULL);
  CHECK(reactor_reply_write(reply, large, SIZE_MAX) == REACTOR_STATUS_OVER_LIMIT ||
        reactor_last_status() == REACTOR_STATUS_INVALID_ARGUMENT);
  CHECK(reactor_reply_commit(reply, 1) == REACTOR_STATUS_INVALID_ARGUMENT);
}

static int32_t process(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  reactor_conn *own = reactor_reply_conn_data(reply);
  CHECK(own != NULL && *own == reactor_reply_conn(reply));
  char line[64], verb[16] = "";
  unsigned long n = 0;
  CHECK(len > 0 && len < sizeof line && data[len - 1] == '\n' && memchr(data, '\n', len) == data + len - 1);
  memcpy(line, data, len);
  line[len] = '\0';
  CHECK(sscanf(line, "%15s %lu", verb, &n) >= 1);
  if (strcmp(verb, "write") == 0) {
    write_pattern(reply, n, 0);
  } else if (strcmp(verb, "pieces") == 0) {
    for (size_t i = 0; i < n; i++) {
      write_pattern(reply, 1, i);
    }
  } else if (strcmp(verb, "reserve") == 0) {
    reserve_pattern(reply, n, n, 0);
  } else if (strcmp(verb, "mixed") == 0) {
    mixed(reply, n);
  } else if (strcmp(verb, "empty") == 0) {
    CHECK(reactor_reply_write(reply, NULL, 0) == REACTOR_STATUS_OK);
  } else if (strcmp(verb, "close") == 0) {
    write_pattern(reply, n, 0);
    CHECK(reactor_reply_close(reply) == REACTOR_STATUS_OK);
  } else if (strcmp(verb, "fail") == 0) {
    write_pattern(reply, n, 0);
    return 1;
  } else if (strcmp(verb, "over") == 0) {
    over(reply, n);
  } else if (strcmp(verb, "say") == 0) {
    say("said");
  } else if (strcmp(verb, "gate") == 0) {
    say("process waits");
    host_pass_gate(0);
  } else {
    CHECK(strcmp(verb, "silent") == 0);
  }
  return 0;
}

static void on_close(void *user_data, reactor_conn conn, uint32_t reason, int32_t os_error, void *conn_data) {
  (void)user_data;
  reactor_conn *own = conn_data;
  CHECK(own != NULL && *own == conn);
  *own = 0; /* a second close of it, or a request after it, would see this */
  free(own);
  closes++;
  say("close %llu reason=%s os_error=%d", (unsigned long long)conn, reason_name(reason), (int)os_error);
}

int main(int argc, char **argv) {
  struct host host = host_new(argc, argv);
  refuses = strcmp(host.variant, "refuse") == 0;
  gate_in_open = strcmp(host.variant, "gate-open") == 0;
  reactor_options *options = host_options(&host);
  CHECK(reactor_options_set_framing_delimiter(options, delimiter, sizeof delimiter, false) == REACTOR_STATUS_OK);
  CHECK(reactor_options_set_on_open(options, on_open) == REACTOR_STATUS_OK);
  CHECK(reactor_options_set_on_close(options, on_close) == REACTOR_STATUS_OK);
  int status = host_run(host_start(&host, process, options));
  say("totals opens=%llu closes=%llu", (unsigned long long)opens, (unsigned long long)closes);
  return status;
}
