/*
 * Every function with arguments that no caller should pass. Each is answered by an error code, a last_error with text in
 * it, and no crash. Prints `checked N` at its end.
 */
#define _GNU_SOURCE
#include "host.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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
                                     " 127.0.0.1:0",
                                     "unix:"};
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
  memcpy(long_host, "unix:/", 6);
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

/* A byte behind which there is none that can be read. */
static const char *last_byte_of_memory(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED && mprotect(pages + page, page, PROT_NONE) == 0);
  return pages + page - 1;
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
  /* Nothing behind it can be read. */
  INVALID(reactor_options_set_framing_delimiter(o, last_byte_of_memory(), 1 << 20, false));
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

static ptrdiff_t whole(void *user_data, void *conn_data, const uint8_t *data, size_t len, size_t seen) {
  (void)user_data, (void)conn_data, (void)data, (void)seen;
  return (ptrdiff_t)len;
}

static void framings(void) {
  reactor_options *o = reactor_options_new();
  CHECK(o != NULL);
  static const uint32_t widths[] = {0, 3, 5, 6, 7, 9, 16, 64, INT32_MAX, UINT32_MAX};
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
    INVALID(reactor_options_set_framing_length_prefix(o, widths[i], true, true));
    INVALID(reactor_options_set_framing_length_prefix(o, widths[i], false, false));
  }
  INVALID(reactor_options_set_framing_length_prefix(NULL, 4, true, true));
  INVALID(reactor_options_set_framing_delimiter(o, NULL, 0, true));
  INVALID(reactor_options_set_framing_delimiter(o, "\n", 0, true));
  INVALID(reactor_options_set_framing_delimiter(o, "0123456789abcdefg", 17, true));
  INVALID(reactor_options_set_framing_delimiter(NULL, "\n", 1, true));
  INVALID(reactor_options_set_framing_fixed(o, 0));
  INVALID(reactor_options_set_framing_fixed(NULL, 1));
  INVALID(reactor_options_set_framing_custom(o, NULL));
  INVALID(reactor_options_set_framing_custom(NULL, NULL));
  INVALID(reactor_options_set_framing_custom(NULL, whole));
  /* None of them has changed the framing: it is raw still, which UNORDERED contradicts. */
  ACCEPTS(reactor_options_set_order(o, REACTOR_ORDER_UNORDERED));
  INVALID(start_fails("127.0.0.1:0", host.mode, echo, o));
  reactor_options_free(o);
}

static void limits(void) {
  reactor_options *o = reactor_options_new();
  CHECK(o != NULL);
  static const uint32_t orders[] = {3, 99, INT32_MAX, UINT32_MAX};
  for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
    INVALID(reactor_options_set_order(o, orders[i]));
  }
  INVALID(reactor_options_set_order(NULL, REACTOR_ORDER_SERIAL));
  INVALID(reactor_options_set_output_water_marks(o, 0, 0));
  INVALID(reactor_options_set_output_water_marks(o, 0, 1));
  INVALID(reactor_options_set_output_water_marks(o, 2, 1));
  INVALID(reactor_options_set_output_water_marks(o, SIZE_MAX, SIZE_MAX - 1));
  INVALID(reactor_options_set_output_water_marks(NULL, 1, 2));
  INVALID(reactor_options_set_output_limit_bytes(o, 0));
  INVALID(reactor_options_set_output_limit_bytes(NULL, 1));
  INVALID(reactor_options_set_memory_limit_bytes(o, 0));
  INVALID(reactor_options_set_memory_limit_bytes(NULL, 1));
  INVALID(reactor_options_set_frame_timeout_ms(NULL, 1));
  INVALID(reactor_options_set_write_timeout_ms(NULL, 1));
  INVALID(reactor_options_set_idle_timeout_ms(NULL, 1));
  static const uint32_t unix_modes[] = {01000, 07777, 0x8000, INT32_MAX, UINT32_MAX};
  for (size_t i = 0; i < sizeof unix_modes / sizeof *unix_modes; i++) {
    INVALID(reactor_options_set_unix_mode(o, unix_modes[i]));
  }
  INVALID(reactor_options_set_unix_mode(NULL, 0600));
  INVALID(reactor_options_set_keepalive_s(o, 32768));
  CHECK(strstr(reactor_last_error(), "32768") != NULL && strstr(reactor_last_error(), "at most 32767") != NULL);
  INVALID(reactor_options_set_keepalive_s(o, UINT32_MAX));
  reactor_options_free(o);
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

/* Asks for more than any memory has, and then echoes. */
static int32_t overreach(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 7, SIZE_MAX / 2 + 1, SIZE_MAX / 2};
  (void)user_data;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    CHECK(reactor_reply_reserve(reply, sizes[i]) == NULL);
    CHECK(reactor_last_status() == REACTOR_STATUS_OVER_LIMIT);
    checked++;
  }
  return reactor_reply_write(reply, data, len);
}

/* The largest numbers that the setters take, all at once, neither overflow nor stand in the way. */
static void far_edges(void) {
  reactor_options *o = reactor_options_new();
  CHECK(o != NULL);
  ACCEPTS(reactor_options_set_max_in_flight(o, UINT32_MAX));
  ACCEPTS(reactor_options_set_backlog(o, UINT32_MAX));
  ACCEPTS(reactor_options_set_keepalive_s(o, 0));
  ACCEPTS(reactor_options_set_keepalive_s(o, 32767));
  ACCEPTS(reactor_options_set_output_water_marks(o, SIZE_MAX, SIZE_MAX));
  ACCEPTS(reactor_options_set_output_limit_bytes(o, SIZE_MAX));
  ACCEPTS(reactor_options_set_frame_timeout_ms(o, UINT32_MAX));
  ACCEPTS(reactor_options_set_write_timeout_ms(o, UINT32_MAX));
  ACCEPTS(reactor_options_set_idle_timeout_ms(o, UINT32_MAX));
  ACCEPTS(reactor_options_set_unix_mode(o, 0777));
  ACCEPTS(reactor_options_set_unix_mode(o, 0));
  ACCEPTS(reactor_options_set_order(o, REACTOR_ORDER_UNORDERED));
  ACCEPTS(reactor_options_set_framing_length_prefix(o, 8, false, true));
  ACCEPTS(reactor_options_set_framing_custom(o, whole));
  ACCEPTS(reactor_options_set_framing_fixed(o, SIZE_MAX));
  ACCEPTS(reactor_options_set_framing_fixed(o, 4));
  ACCEPTS(reactor_options_set_memory_limit_bytes(o, SIZE_MAX));
  ACCEPTS(reactor_options_set_max_frame_bytes(o, SIZE_MAX / 2000));
  reactor *reactor = reactor_start_with("127.0.0.1:0", host.mode, overreach, o);
  CHECK(reactor != NULL);
  int client = host_connect(reactor);
  /* Alike, as their order is not said; each of them stays whole. */
  host_ask(client, "fourfourfourfour", "fourfourfourfour", false);
  close(client);
  CHECK(reactor_free(reactor) == REACTOR_STATUS_OK);
  /* Two reactors with so large a frame each need more memory than there are numbers for. */
  ACCEPTS(reactor_options_set_reactors(o, 2));
  ACCEPTS(reactor_options_set_max_frame_bytes(o, SIZE_MAX));
  ACCEPTS(reactor_options_set_memory_limit_bytes(o, SIZE_MAX - 1));
  INVALID(start_fails("127.0.0.1:0", REACTOR_MODE_MULTI, echo, o));
  reactor_options_free(o);
}

/* No framing's smallest frame may pass max_frame_bytes, and no frame the memory. */
static void frames_contradict(void) {
  reactor_options *o = reactor_options_new();
  CHECK(o != NULL);
  ACCEPTS(reactor_options_set_max_frame_bytes(o, 3));
  ACCEPTS(reactor_options_set_framing_delimiter(o, "\r\n\r\n", 4, true));
  INVALID(start_fails("127.0.0.1:0", host.mode, echo, o));
  ACCEPTS(reactor_options_set_framing_length_prefix(o, 4, true, false));
  INVALID(start_fails("127.0.0.1:0", host.mode, echo, o));
  ACCEPTS(reactor_options_set_framing_fixed(o, 4));
  INVALID(start_fails("127.0.0.1:0", host.mode, echo, o));
  ACCEPTS(reactor_options_set_framing_fixed(o, 3));
  ACCEPTS(reactor_options_set_memory_limit_bytes(o, 2));
  INVALID(start_fails("127.0.0.1:0", host.mode, echo, o));
  ACCEPTS(reactor_options_set_reactors(o, 2));
  ACCEPTS(reactor_options_set_memory_limit_bytes(o, 5));
  INVALID(start_fails("127.0.0.1:0", REACTOR_MODE_MULTI, echo, o));
  ACCEPTS(reactor_options_set_memory_limit_bytes(o, 6));
  INVALID(start_fails("127.0.0.1:0", REACTOR_MODE_SINGLE, echo, o)); /* reactors are MULTI's */
  INVALID(start_fails("127.0.0.1:0", REACTOR_MODE_POOLED, echo, o));
  ACCEPTS(start_fails("127.0.0.1:0", REACTOR_MODE_MULTI, echo, o));
  reactor_options_free(o);
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
  REFUSES(REACTOR_STATUS_WOULD_DEADLOCK, reactor_wait(reactor_current(), NULL));
  REFUSES(REACTOR_STATUS_WOULD_DEADLOCK, reactor_free(reactor_current()));
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

/* ---- Pushes ------------------------------------------------------------------------------------- */

#define GONE(call) REFUSES(REACTOR_STATUS_GONE, call)

/* All that takes an id, with one that names no connection, or none any more. */
static void names_nobody(reactor *reactor, reactor_conn conn) {
  char buffer[8] = "#######";
  GONE(reactor_send(reactor, conn, "x", 1));
  GONE(reactor_send(reactor, conn, NULL, 0));
  GONE(reactor_close(reactor, conn));
  GONE(reactor_abort(reactor, conn));
  CHECK(reactor_peer_address(reactor, conn, buffer, sizeof buffer) == 0 && buffer[0] == '#');
  CHECK(reactor_last_status() == REACTOR_STATUS_GONE);
  CHECK(reactor_peer_address(reactor, conn, NULL, 0) == 0);
  CHECK(reactor_last_status() == REACTOR_STATUS_GONE);
  INVALID(reactor_send(NULL, conn, "x", 1));
  INVALID(reactor_close(NULL, conn));
  INVALID(reactor_abort(NULL, conn));
  CHECK(reactor_peer_address(NULL, conn, buffer, sizeof buffer) == 0);
  CHECK(reactor_last_status() == REACTOR_STATUS_INVALID_ARGUMENT);
}

static int32_t answer_id(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)data, (void)len;
  atomic_store((_Atomic reactor_conn *)user_data, reactor_reply_conn(reply));
  return reactor_reply_write(reply, "ok", 2);
}

static void peer_addresses(reactor *reactor, reactor_conn conn) {
  char all[64], buffer[64];
  size_t len = reactor_peer_address(reactor, conn, all, sizeof all);
  CHECK(len == strlen(all) && strncmp(all, "127.0.0.1:", 10) == 0);
  CHECK(reactor_peer_address(reactor, conn, NULL, 0) == len);
  CHECK(reactor_peer_address(reactor, conn, NULL, 1) == 0);
  CHECK(reactor_last_status() == REACTOR_STATUS_INVALID_ARGUMENT);
  for (size_t capacity = 1; capacity < sizeof buffer; capacity++) {
    memset(buffer, '#', sizeof buffer);
    CHECK(reactor_peer_address(reactor, conn, buffer, capacity) == len);
    size_t kept = capacity - 1 < len ? capacity - 1 : len;
    CHECK(memcmp(buffer, all, kept) == 0 && buffer[kept] == '\0' && buffer[kept + 1] == '#');
    checked++;
  }
}

static void bytes_to_push(reactor *reactor, reactor_conn conn) {
  uint64_t reached = 77;
  INVALID(reactor_send(reactor, conn, NULL, 1));
  INVALID(reactor_send(reactor, conn, NULL, SIZE_MAX));
  INVALID(reactor_send(reactor, conn, "x", SIZE_MAX));
  INVALID(reactor_broadcast(reactor, NULL, 1, &reached));
  INVALID(reactor_broadcast(reactor, "x", SIZE_MAX, &reached));
  INVALID(reactor_broadcast(NULL, "x", 1, &reached));
  INVALID(reactor_broadcast(NULL, NULL, 0, NULL));
  static const char large[4097];
  REFUSES(REACTOR_STATUS_OVER_LIMIT, reactor_send(reactor, conn, large, sizeof large));
  REFUSES(REACTOR_STATUS_OVER_LIMIT, reactor_broadcast(reactor, large, sizeof large, &reached));
  CHECK(reached == 77); /* outputs are written only on success */
  ACCEPTS(reactor_send(reactor, conn, NULL, 0));
  ACCEPTS(reactor_broadcast(reactor, NULL, 0, NULL));
  ACCEPTS(reactor_broadcast(reactor, "", 0, &reached));
  CHECK(reached == 1);
}

static void stats(const reactor *reactor) {
  reactor_stats stats = {.struct_size = sizeof stats};
  INVALID(reactor_get_stats(NULL, 0, &stats));
  INVALID(reactor_get_stats(reactor, 0, NULL));
  INVALID(reactor_get_stats(NULL, 0, NULL));
  ACCEPTS(reactor_get_stats(reactor, REACTOR_ALL, &stats));
  uint32_t reactors = (uint32_t)stats.reactors;
  CHECK(reactors >= 1 && stats.struct_size == sizeof stats);
  ACCEPTS(reactor_get_stats(reactor, reactors - 1, &stats));
  CHECK(stats.reactors == 1);
  const uint32_t none[] = {reactors, reactors + 1, INT32_MAX, UINT32_MAX - 1};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    INVALID(reactor_get_stats(reactor, none[i], &stats));
  }
  static const size_t sizes[] = {0, 1, sizeof(size_t), sizeof stats - 1};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    memset(&stats, 0x55, sizeof stats);
    stats.struct_size = sizes[i];
    INVALID(reactor_get_stats(reactor, REACTOR_ALL, &stats));
    CHECK(stats.struct_size == sizes[i] && stats.bytes_in == 0x5555555555555555);
  }
  struct {
    reactor_stats stats;
    uint64_t later_field;
  } newer = {.stats.struct_size = sizeof newer, .later_field = 77};
  ACCEPTS(reactor_get_stats(reactor, REACTOR_ALL, &newer.stats));
  CHECK(newer.stats.struct_size == sizeof stats && newer.later_field == 77);
}

static void pushes(void) {
  _Atomic reactor_conn asked = 0;
  reactor_options *o = reactor_options_new();
  ACCEPTS(reactor_options_set_user_data(o, &asked, NULL));
  ACCEPTS(reactor_options_set_output_limit_bytes(o, 4096));
  reactor *reactor = reactor_start_with("127.0.0.1:0", host.mode, answer_id, o);
  CHECK(reactor != NULL);
  reactor_options_free(o);
  int client = host_connect(reactor);
  host_ask(client, "?", "ok", false);
  reactor_conn conn = asked;
  CHECK(conn != 0);
  const reactor_conn nobody[] = {0, ~conn, conn ^ 1, conn ^ 2, conn ^ (UINT64_C(1) << 32), conn ^ (UINT64_C(1) << 63),
                                 1, UINT32_MAX, UINT64_C(1) << 32, INT64_MAX, UINT64_MAX - 1, UINT64_MAX};
  for (size_t i = 0; i < sizeof nobody / sizeof *nobody; i++) {
    if (nobody[i] != conn) {
      names_nobody(reactor, nobody[i]);
    }
  }
  peer_addresses(reactor, conn);
  bytes_to_push(reactor, conn);
  stats(reactor);
  host_ask(client, "?", "ok", false); /* none of it has harmed the connection, or sent a byte */
  ACCEPTS(reactor_close(reactor, conn));
  (void)reactor_close(reactor, conn); /* again: it is being closed, or has been */
  host_ask(client, "", "", true);
  close(client);
  while (reactor_abort(reactor, conn) != REACTOR_STATUS_GONE) {
    /* Until the server, too, has seen the end. */
  }
  names_nobody(reactor, conn);
  CHECK(reactor_stop(reactor, 10000, NULL) == REACTOR_STATUS_OK);
  names_nobody(reactor, conn);
  GONE(reactor_broadcast(reactor, "x", 1, NULL));
  stats(reactor);
  CHECK(reactor_free(reactor) == REACTOR_STATUS_OK);
}

/* ---- Deferred replies --------------------------------------------------------------------------- */

static _Atomic(reactor_deferred *) promise;

static int32_t hostile_defer(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  CHECK(reactor_reply_defer(NULL) == NULL && reactor_last_status() == REACTOR_STATUS_INVALID_ARGUMENT);
  CHECK(reactor_reply_reserve(reply, 8) != NULL);
  ACCEPTS(reactor_reply_write(reply, data, len));
  CHECK(reactor_reply_reserve(reply, 8) != NULL);
  reactor_deferred *deferred = reactor_reply_defer(reply);
  CHECK(deferred != NULL);
  CHECK(reactor_reply_defer(reply) == NULL && reactor_last_status() == REACTOR_STATUS_INVALID_ARGUMENT);
  INVALID(reactor_reply_write(reply, "x", 1));
  INVALID(reactor_reply_write(reply, NULL, 0));
  INVALID(reactor_reply_commit(reply, 0));
  INVALID(reactor_reply_commit(reply, 1));
  INVALID(reactor_reply_close(reply));
  CHECK(reactor_reply_reserve(reply, 1) == NULL && reactor_last_status() == REACTOR_STATUS_INVALID_ARGUMENT);
  CHECK(reactor_reply_conn(reply) != 0); /* that changes nothing, and still works */
  atomic_store(&promise, deferred);
  return data[0] == '!' ? INT32_MIN : 0;
}

/* A promise that a new connection is owed, for what it has asked. */
static reactor_deferred *take_promise(const reactor *reactor, int *client, const char *asked) {
  *client = host_connect(reactor);
  host_ask(*client, asked, "", false);
  reactor_deferred *deferred;
  while ((deferred = atomic_exchange(&promise, NULL)) == NULL) {
    usleep(1000); /* between looks; the test as a whole ends at its deadline */
  }
  return deferred;
}

static void ends(int client, const char *due) {
  host_ask(client, "", due, true);
  close(client);
}

static void deferred_replies(void) {
  INVALID(reactor_deferred_complete(NULL, "x", 1));
  INVALID(reactor_deferred_complete(NULL, NULL, 0));
  INVALID(reactor_deferred_complete_and_close(NULL, "x", 1));
  INVALID(reactor_deferred_complete_and_close(NULL, NULL, 5));
  INVALID(reactor_deferred_fail(NULL));

  reactor_options *o = reactor_options_new();
  ACCEPTS(reactor_options_set_output_limit_bytes(o, 16));
  reactor *reactor = reactor_start_with("127.0.0.1:0", host.mode, hostile_defer, o);
  CHECK(reactor != NULL);
  reactor_options_free(o);
  int client;
  /* Whatever is refused has taken the promise, and fails the reply. */
  INVALID(reactor_deferred_complete(take_promise(reactor, &client, "a"), NULL, 5));
  ends(client, "");
  INVALID(reactor_deferred_complete(take_promise(reactor, &client, "b"), "x", SIZE_MAX));
  ends(client, "");
  INVALID(reactor_deferred_complete_and_close(take_promise(reactor, &client, "c"), NULL, 1));
  ends(client, "");
  REFUSES(REACTOR_STATUS_OVER_LIMIT,
          reactor_deferred_complete(take_promise(reactor, &client, "d"), "0123456789abcdef", 16));
  ends(client, "");
  ACCEPTS(reactor_deferred_complete(take_promise(reactor, &client, "e"), "0123456789abcde", 15));
  host_ask(client, "", "e0123456789abcde", false);
  close(client);
  ACCEPTS(reactor_deferred_complete_and_close(take_promise(reactor, &client, "f"), NULL, 0));
  ends(client, "f");
  ACCEPTS(reactor_deferred_fail(take_promise(reactor, &client, "g")));
  ends(client, "");
  /* The callback has failed the request itself; the promise is still to be given back. */
  reactor_deferred *late = take_promise(reactor, &client, "!");
  ends(client, "");
  CHECK(reactor_deferred_complete(late, "x", 1) != REACTOR_STATUS_INVALID_ARGUMENT);
  /* Promises that outlive the reactor. */
  int clients[3];
  reactor_deferred *left[3];
  for (size_t i = 0; i < 3; i++) {
    left[i] = take_promise(reactor, &clients[i], "h");
  }
  CHECK(reactor_stop(reactor, 0, NULL) == REACTOR_STATUS_OK);
  GONE(reactor_deferred_complete(left[0], "x", 1));
  CHECK(reactor_free(reactor) == REACTOR_STATUS_OK);
  GONE(reactor_deferred_complete_and_close(left[1], "x", 1));
  GONE(reactor_deferred_fail(left[2]));
  for (size_t i = 0; i < 3; i++) {
    close(clients[i]);
  }
}

/* ---- Callbacks that return strange numbers ------------------------------------------------------ */

static ptrdiff_t hostile_frame(void *user_data, void *conn_data, const uint8_t *data, size_t len, size_t seen) {
  (void)user_data, (void)conn_data;
  CHECK(len >= 1 && seen < len);
  switch (data[0]) {
  case 'a': return -1;
  case 'b': return PTRDIFF_MIN;
  case 'c': return PTRDIFF_MAX;
  case 'd': return 65;
  case 'e': return 0;
  default: return 4;
  }
}

static int32_t echo_unless_told(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  CHECK(len == 4);
  return memcmp(data, "fail", 4) == 0 ? INT32_MAX : echo(user_data, data, len, reply);
}

static void strange_returns(void) {
  reactor_options *o = reactor_options_new();
  ACCEPTS(reactor_options_set_framing_custom(o, hostile_frame));
  ACCEPTS(reactor_options_set_max_frame_bytes(o, 64));
  reactor *reactor = reactor_start_with("127.0.0.1:0", host.mode, echo_unless_told, o);
  CHECK(reactor != NULL);
  reactor_options_free(o);
  static const char *const asked[] = {"a", "b", "c", "d", "wella", "wellb", "wellc", "welld", "wellfail", "fail",
                                      "e:never:ends:never:ends:never:ends:never:ends:never:ends:never:en"};
  for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
    int client = host_connect(reactor);
    host_ask(client, asked[i], asked[i][0] == 'w' ? "well" : "", true);
    close(client);
    checked++;
  }
  int client = host_connect(reactor);
  host_ask(client, "goodgood", "goodgood", false);
  close(client);
  CHECK(reactor_free(reactor) == REACTOR_STATUS_OK);
}

/* ---- Log ---------------------------------------------------------------------------------------- */

static atomic_uint messages;

static void hostile_log(void *user_data, uint32_t level, const char *target, const char *message) {
  CHECK(user_data == &messages && level >= 1 && level <= 5 && target[0] != '\0' && message[0] != '\0');
  CHECK(reactor_set_log(NULL, NULL, 0) == REACTOR_STATUS_WOULD_DEADLOCK);
  CHECK(reactor_set_log(hostile_log, &messages, 5) == REACTOR_STATUS_WOULD_DEADLOCK);
  messages++;
}

static void logs(void) {
  static const uint32_t levels[] = {0, 6, INT32_MAX, UINT32_MAX};
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
    INVALID(reactor_set_log(hostile_log, NULL, levels[i]));
    ACCEPTS(reactor_set_log(NULL, NULL, levels[i]));
  }
  ACCEPTS(reactor_set_log(hostile_log, &messages, 5));
  INVALID(reactor_set_log(hostile_log, NULL, 6)); /* the former one stays, user_data and all */
  replies();
  ACCEPTS(reactor_set_log(NULL, NULL, 0));
  unsigned before = messages;
  CHECK(before > 0);
  replies();
  CHECK(messages == before);
}

int main(int argc, char **argv) {
  host = host_new(argc, argv);
  statuses();
  starts();
  addresses();
  taken_addresses();
  numbers();
  framings();
  limits();
  edges();
  far_edges();
  frames_contradict();
  contradictions();
  options_are_used_once();
  handles();
  replies();
  pushes();
  deferred_replies();
  strange_returns();
  logs();
  say("checked %u", checked);
  return 0;
}
