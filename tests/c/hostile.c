/*
 * Every function with arguments that no caller should pass. Each is answered by an error code, a last_error with text in
 * it, and no crash. Prints `checked N` at its end.
 */
#define _GNU_SOURCE
#include "host.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned checked;
static struct host host;

/* The call was refused, with this status, and the library says why. */
#define REFUSES(expected, call)                                                                                        \
  do {                                                                                                                 \
    reactor_status refused_ = (call);                                                                                  \
    if (refused_ != (expected) || reactor_last_status() != (expected) || reactor_last_error()[0] == '\0') {            \
      die("%s:%d: %s: %s", __FILE__, __LINE__, #call, reactor_status_name(refused_));                                  \
    }                                                                                                                  \
    checked++;                                                                                                         \
  } while (0)

#define INVALID(call) REFUSES(REACTOR_STATUS_INVALID_ARGUMENT, call)
#define ACCEPTS(call)                                                                                                  \
  do {                                                                                                                 \
    CHECK((call) == REACTOR_STATUS_OK);                                                                                \
    checked++;                                                                                                         \
  } while (0)

static int32_t echo(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  return reactor_reply_write(reply, data, len);
}

/* Where reactor_start is to fail: with what. */
static reactor_status start_fails(const char *addr, uint32_t mode, reactor_process_fn process,
                                  const reactor_options *options) {
  reactor *reactor = reactor_start_with(addr, mode, process, options);
  if (reactor != NULL) {
    reactor_free(reactor);
    return REACTOR_STATUS_OK;
  }
  return reactor_last_status();
}

static void statuses(void) {
  static const char *const names[] = {"OK",          "INVALID_ARGUMENT", "INVALID_ADDRESS",  "ADDRESS_IN_USE",
                                      "ADDRESS_UNAVAILABLE", "PERMISSION_DENIED", "GONE",    "OVER_LIMIT",
                                      "WOULD_DEADLOCK",      "OUT_OF_RESOURCES",  "TIMED_OUT", "IO", "PANIC"};
  for (int32_t i = 0; i < 13; i++) {
    CHECK(strcmp(reactor_status_name(-i), names[i]) == 0);
    CHECK(strlen(reactor_status_message(-i)) > 3);
    checked++;
  }
  static const int32_t strange[] = {1, -13, 99, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
    CHECK(strcmp(reactor_status_name(strange[i]), "UNKNOWN") == 0);
    CHECK(reactor_status_message(strange[i]) != NULL);
    checked++;
  }
  CHECK(reactor_last_error() != NULL);
  CHECK(reactor_version_number() == REACTOR_VERSION_NUMBER && strcmp(reactor_version(), "0.1.0") == 0);
}

static void starts(void) {
  static const uint32_t modes[] = {3, 99, INT32_MAX, UINT32_MAX};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    INVALID(start_fails("127.0.0.1:0", modes[i], echo, NULL));
    CHECK(reactor_start("127.0.0.1:0", modes[i], echo) == NULL);
  }
  INVALID(start_fails(NULL, host.mode, echo, NULL));
  INVALID(start_fails("127.0.0.1:0", host.mode, NULL, NULL));
  INVALID(start_fails(NULL, 99, NULL, NULL));
  CHECK(reactor_start(NULL, host.mode, echo) == NULL && reactor_start("127.0.0.1:0", host.mode, NULL) == NULL);
}

static void addresses(void) {
  static const char *const none[] = {"",
                                     ":",
                                     ":3001",
                                     "127.0.0.1",
                                     "127.0.0.1:",
                                     "127.0.0.1:70000",
                                     "127.0.0.1:65536",
                                     "127.0.0.1:-1",
                                     "127.0.0.1:+1",
                                     "127.0.0.1:0x10",
                                     "127.0.0.1:http",
                                     "127.0.0.1:99999999999999999999",
                                     "127.0.0.1:0 ",
                                     "127.0.0.1:0\n",
                                     "[::1",
                                     "[::1]",
                                     "[::1]:",
                                     "[]:0",
                                     "[127.0.0.1]:0",
                                     "::1:0x",
                                     "\x01\x02\x03:0",
                                     "127.0.0.1\t:0",
                                     "127.0.0.1\x7f:0",
                                     " 127.0.0.1:0"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    if (start_fails(none[i], host.mode, echo, NULL) != REACTOR_STATUS_INVALID_ADDRESS) {
      die("'%s' is no address; the status is %s", none[i], reactor_status_name(reactor_last_status()));
    }
    CHECK(reactor_last_error()[0] != '\0');
    checked++;
  }
  static const char *const no_text[] = {"\xff\xfe:0", "127.0.0.1\xc3:0", "\x80:0", "127.0.0.1:\xed\xa0\x80"};
  for (size_t i = 0; i < sizeof no_text / sizeof *no_text; i++) {
    reactor_status status = start_fails(no_text[i], host.mode, echo, NULL);
    CHECK(status == REACTOR_STATUS_INVALID_ADDRESS || status == REACTOR_STATUS_INVALID_ARGUMENT);
    CHECK(reactor_last_error()[0] != '\0');
    checked++;
  }
  static char long_host[100001];
  memset(long_host, '1', sizeof long_host - 1);
  memcpy(long_host + sizeof long_host - 3, ":0", 2);
  REFUSES(REACTOR_STATUS_INVALID_ADDRESS, start_fails(long_host, host.mode, echo, NULL));
}

static atomic_int frees;

static void user_data_free(void *user_data) {
  CHECK(user_data == &frees);
  frees++;
}

static reactor_options *options_with_user_data(void) {
  reactor_options *options = reactor_options_new();
  CHECK(options != NULL);
  ACCEPTS(reactor_options_set_user_data(options, &frees, user_data_free));
  return options;
}

static void taken_addresses(void) {
  reactor *first = reactor_start("127.0.0.1:0", host.mode, echo);
  CHECK(first != NULL);
  char address[64];
  CHECK(reactor_local_address(first, address, sizeof address) < sizeof address);
  reactor_options *options = options_with_user_data();
  REFUSES(REACTOR_STATUS_ADDRESS_IN_USE, start_fails(address, host.mode, echo, options));
  CHECK(strstr(reactor_last_error(), address) != NULL);
  CHECK(strstr(reactor_last_error(), "ddress already in use") != NULL);
  reactor_options_free(options);
  CHECK(reactor_free(first) == REACTOR_STATUS_OK);
  /* 192.0.2.0/24 is kept for documentation (RFC 5737): no machine has it. Bound only, nothing is sent. */
  options = options_with_user_data();
  REFUSES(REACTOR_STATUS_ADDRESS_UNAVAILABLE, start_fails("192.0.2.1:0", host.mode, echo, options));
  CHECK(strstr(reactor_last_error(), "192.0.2.1") != NULL);
  reactor_options_free(options);
  CHECK(frees == 0); /* never if start fails */
}

static void numbers(void) {
  reactor_options *o = reactor_options_new();
  CHECK(o != NULL);
  static const uint32_t too_many[] = {1025, 2000, INT32_MAX, UINT32_MAX};
  for (size_t i = 0; i < sizeof too_many / sizeof *too_many; i++) {
    INVALID(reactor_options_set_reactors(o, too_many[i]));
    INVALID(reactor_options_set_workers(o, too_many[i]));
  }
  INVALID(reactor_options_set_reactors(o, 0));
  INVALID(reactor_options_set_max_connections(o, 0));
  INVALID(reactor_options_set_max_in_flight(o, 0));
  INVALID(reactor_options_set_max_frame_bytes(o, 0));
  INVALID(reactor_options_set_backlog(o, 0));
  INVALID(reactor_options_set_framing_delimiter(o, NULL, 0, false));
  INVALID(reactor_options_set_framing_delimiter(o, NULL, 2, false));
  INVALID(reactor_options_set_framing_delimiter(o, "\n", 0, false));
  INVALID(reactor_options_set_framing_delimiter(o, "0123456789abcdefg", 17, false));
  INVALID(reactor_options_set_framing_delimiter(o, "0123456789abcdefg", SIZE_MAX, false));
  INVALID(reactor_options_set_framing_delimiter(NULL, "\n", 1, false));
  INVALID(reactor_options_set_framing_raw(NULL));
  INVALID(reactor_options_set_user_data(NULL, NULL, NULL));
  INVALID(reactor_options_set_on_open(NULL, NULL));
  INVALID(reactor_options_set_on_close(NULL, NULL));
  INVALID(reactor_options_set_reactors(NULL, 1));
  INVALID(reactor_options_set_workers(NULL, 1));
  INVALID(reactor_options_set_max_connections(NULL, 1));
  INVALID(reactor_options_set_max_in_flight(NULL, 1));
  INVALID(reactor_options_set_max_frame_bytes(NULL, 1));
  INVALID(reactor_options_set_backlog(NULL, 1));
  INVALID(reactor_options_set_nodelay(NULL, true));
  INVALID(reactor_options_set_keepalive_s(NULL, 1));
  INVALID(reactor_options_set_reuse_port(NULL, true));
  reactor_options_free(o);
  reactor_options_free(NULL);
}

/* What the setters refused has left no trace, and the edges of what they take do work. */
static void edges(void) {
  reactor_options *o = reactor_options_new();
  CHECK(o != NULL);
  ACCEPTS(reactor_options_set_max_connections(o, UINT32_MAX));
  ACCEPTS(reactor_options_set_max_connections(o, 16));
  ACCEPTS(reactor_options_set_max_in_flight(o, 1));
  ACCEPTS(reactor_options_set_max_frame_bytes(o, 1));
  ACCEPTS(reactor_options_set_backlog(o, 1));
  ACCEPTS(reactor_options_set_nodelay(o, false));
  ACCEPTS(reactor_options_set_keepalive_s(o, 60));
  ACCEPTS(reactor_options_set_framing_delimiter(o, "0123456789abcdef", 16, false));
  ACCEPTS(reactor_options_set_framing_raw(o));
  ACCEPTS(reactor_options_set_on_open(o, NULL));
  ACCEPTS(reactor_options_set_on_close(o, NULL));
  ACCEPTS(reactor_options_set_user_data(o, NULL, NULL));
  INVALID(reactor_options_set_max_frame_bytes(o, 0));
  reactor *reactor = reactor_start_with("127.0.0.1:0", host.mode, echo, o);
  CHECK(reactor != NULL);
  reactor_options_free(o);
  int client = host_connect(reactor);
  host_ask(client, "one byte a frame, one in flight", "one byte a frame, one in flight", false);
  close(client);
  CHECK(reactor_free(reactor) == REACTOR_STATUS_OK);
}

static void contradictions(void) {
  reactor_options *o = reactor_options_new();
  ACCEPTS(reactor_options_set_workers(o, 0)); /* inline, in MULTI */
  INVALID(start_fails("127.0.0.1:0", REACTOR_MODE_POOLED, echo, o));
  CHECK(start_fails("127.0.0.1:0", REACTOR_MODE_MULTI, echo, o) == REACTOR_STATUS_OK);
  ACCEPTS(reactor_options_set_workers(o, 4));
  INVALID(start_fails("127.0.0.1:0", REACTOR_MODE_SINGLE, echo, o));
  reactor_options_free(o);
}

static void options_are_used_once(void) {
  reactor_options *options = options_with_user_data();
  reactor *reactor = reactor_start_with("127.0.0.1:0", host.mode, echo, options);
  CHECK(reactor != NULL);
  INVALID(start_fails("127.0.0.1:0", host.mode, echo, options));
  reactor_options_free(options);
  CHECK(frees == 0);
  CHECK(reactor_stop(reactor, 10000, NULL) == REACTOR_STATUS_OK);
  CHECK(frees == 1);
  CHECK(reactor_free(reactor) == REACTOR_STATUS_OK && frees == 1);
  /* Options that start nothing free nothing; without user_data_free they start as many as one likes. */
  reactor_options_free(options_with_user_data());
  CHECK(frees == 1);
  options = reactor_options_new();
  CHECK(start_fails("127.0.0.1:0", host.mode, echo, options) == REACTOR_STATUS_OK);
  CHECK(start_fails("127.0.0.1:0", host.mode, echo, options) == REACTOR_STATUS_OK);
  reactor_options_free(options);
}

static void local_addresses(const reactor *reactor) {
  char whole[64], buffer[64];
  CHECK(reactor_local_address(NULL, buffer, sizeof buffer) == 0);
  CHECK(reactor_local_address(NULL, NULL, 0) == 0);
  size_t len = reactor_local_address(reactor, whole, sizeof whole);
  CHECK(len == strlen(whole) && strncmp(whole, "127.0.0.1:", 10) == 0);
  CHECK(reactor_local_address(reactor, NULL, 0) == len);
  for (size_t capacity = 0; capacity < sizeof buffer; capacity++) {
    memset(buffer, '#', sizeof buffer);
    CHECK(reactor_local_address(reactor, buffer, capacity) == len);
    size_t kept = capacity == 0 ? 0 : capacity - 1 < len ? capacity - 1 : len;
    CHECK(memcmp(buffer, whole, kept) == 0);
    CHECK(capacity == 0 || buffer[kept] == '\0');
    CHECK(buffer[capacity == 0 ? 0 : kept + 1] == '#');
    checked++;
  }
}

static void handles(void) {
  reactor *reactor = reactor_start("127.0.0.1:0", host.mode, echo);
  CHECK(reactor != NULL);
  local_addresses(reactor);
  reactor_drain_report report = {.struct_size = 0};
  INVALID(reactor_request_stop(NULL, 0));
  INVALID(reactor_wait(NULL, NULL));
  INVALID(reactor_wait(NULL, &report));
  INVALID(reactor_stop(NULL, 0, NULL));
  ACCEPTS(reactor_free(NULL));
  CHECK(reactor_current() == NULL);
  /* A report that is not as large as 0.1 has it is refused, and left alone. */
  static const size_t sizes[] = {0, 1, sizeof(size_t), sizeof report - 1};
  ACCEPTS(reactor_request_stop(reactor, 0));
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    memset(&report, 0x55, sizeof report);
    report.struct_size = sizes[i];
    INVALID(reactor_wait(reactor, &report));
    INVALID(reactor_stop(reactor, 0, &report));
    CHECK(report.struct_size == sizes[i] && report.bytes_unsent == 0x5555555555555555);
  }
  /* One that is larger than the library's is filled as far as that goes. */
  struct {
    reactor_drain_report report;
    uint64_t later_field;
  } newer = {.report.struct_size = sizeof newer, .later_field = 77};
  ACCEPTS(reactor_wait(reactor, &newer.report));
  CHECK(newer.report.struct_size == sizeof report && newer.later_field == 77 && newer.report.connections_aborted == 0);
  ACCEPTS(reactor_request_stop(reactor, UINT32_MAX));
  ACCEPTS(reactor_free(reactor));
}

static int32_t hostile_process(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  INVALID(reactor_reply_write(reply, NULL, 5));
  INVALID(reactor_reply_write(NULL, data, len));
  INVALID(reactor_reply_write(NULL, NULL, 0));
  ACCEPTS(reactor_reply_write(reply, NULL, 0));
  CHECK(reactor_reply_reserve(NULL, 1) == NULL);
  CHECK(reactor_last_status() == REACTOR_STATUS_INVALID_ARGUMENT);
  CHECK(reactor_reply_reserve(reply, SIZE_MAX) == NULL);
  CHECK(reactor_last_status() == REACTOR_STATUS_OVER_LIMIT || reactor_last_status() == REACTOR_STATUS_INVALID_ARGUMENT);
  INVALID(reactor_reply_commit(NULL, 0));
  INVALID(reactor_reply_commit(reply, 1));
  INVALID(reactor_reply_commit(reply, SIZE_MAX));
  CHECK(reactor_reply_reserve(reply, 8) != NULL);
  INVALID(reactor_reply_commit(reply, 9));
  CHECK(reactor_reply_reserve(reply, 8) != NULL);
  ACCEPTS(reactor_reply_write(reply, "yes ", 4)); /* gives back what was reserved */
  INVALID(reactor_reply_commit(reply, 1));
  INVALID(reactor_reply_close(NULL));
  CHECK(reactor_reply_conn(NULL) == 0 && reactor_reply_conn_data(NULL) == NULL);
  CHECK(reactor_reply_conn(reply) != 0 && reactor_reply_conn_data(reply) == NULL);
  /* Blocking calls, also with nothing else right about them. */
  CHECK(reactor_wait(NULL, NULL) == REACTOR_STATUS_INVALID_ARGUMENT);
  CHECK(reactor_free(NULL) == REACTOR_STATUS_OK);
  uint8_t *room = reactor_reply_reserve(reply, len + 100);
  CHECK(room != NULL);
  memcpy(room, data, len);
  ACCEPTS(reactor_reply_commit(reply, len));
  return 0;
}

static void replies(void) {
  reactor *reactor = reactor_start("127.0.0.1:0", host.mode, hostile_process);
  CHECK(reactor != NULL);
  int client = host_connect(reactor);
  host_ask(client, "still here", "yes still here", false);
  close(client);
  CHECK(reactor_free(reactor) == REACTOR_STATUS_OK);
}

int main(int argc, char **argv) {
  host = host_new(argc, argv);
  statuses();
  starts();
  addresses();
  taken_addresses();
  numbers();
  edges();
  contradictions();
  options_are_used_once();
  handles();
  replies();
  say("checked %u", checked);
  return 0;
}
