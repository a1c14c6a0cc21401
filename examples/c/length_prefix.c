/*
 * Length prefix: a binary protocol. A message is its length, 4 bytes, the most significant first, then so many bytes.
 * The first byte of a request says what to do with those that follow it, and the first byte of the reply how that went:
 *
 *   request   'r' BYTES  reverse them        reply   0 BYTES
 *             'u' BYTES  upper-case them             0 BYTES
 *             's' BYTES  add them up                 0 SUM, 8 bytes, the most significant first
 *             other, or an empty message             1 TEXT, what was wrong
 *
 * Shows: length-prefix framing with strip, where the callback sees messages without their length, and replies get
 * theirs; reactor_reply_reserve and reactor_reply_commit, which fill the reply in place.
 *
 * Build, at the root of the repository, after `cargo xtask build`:
 *   cc -Iinclude examples/c/length_prefix.c -Ltarget/release -lreactor -Wl,-rpath,"$PWD/target/release" \
 *     -o target/length_prefix
 * Try:
 *   target/length_prefix & printf '\0\0\0\6rhello' | nc -N 127.0.0.1 3001 | od -c
 */
#include "example.h"

enum { PREFIX_BYTES = 4, MAX_MESSAGE_BYTES = 64 * 1024, SUM_BYTES = 8 };

enum { OUTCOME_OK = 0, OUTCOME_ERROR = 1 };

static void reverse(uint8_t *to, const uint8_t *bytes, size_t len) {
  for (size_t i = 0; i < len; i++) {
    to[i] = bytes[len - 1 - i];
  }
}

/* ASCII, and not toupper: a protocol does not depend on the locale. */
static void upper_case(uint8_t *to, const uint8_t *bytes, size_t len) {
  for (size_t i = 0; i < len; i++) {
    bool is_lower = bytes[i] >= 'a' && bytes[i] <= 'z';
    to[i] = is_lower ? (uint8_t)(bytes[i] - 'a' + 'A') : bytes[i];
  }
}

static void sum(uint8_t to[SUM_BYTES], const uint8_t *bytes, size_t len) {
  uint64_t total = 0;
  for (size_t i = 0; i < len; i++) {
    total += bytes[i];
  }
  for (size_t i = 0; i < SUM_BYTES; i++) {
    to[i] = (uint8_t)(total >> (8 * (SUM_BYTES - 1 - i)));
  }
}

static int32_t refuse(reactor_reply *reply, const char *why) {
  const uint8_t outcome = OUTCOME_ERROR;
  if (reactor_reply_write(reply, &outcome, 1) != REACTOR_STATUS_OK) { /* a reply may be written in pieces */
    return 1;
  }
  return reactor_reply_write(reply, why, strlen(why));
}

static int32_t answer(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  if (len == 0) { /* a length of 0 is a message too */
    return refuse(reply, "an empty message has no operation");
  }
  const uint8_t *bytes = data + 1;
  size_t bytes_len = len - 1;

  uint8_t *room = reactor_reply_reserve(reply, 1 + (bytes_len > SUM_BYTES ? bytes_len : SUM_BYTES));
  if (room == NULL) {
    return 1;
  }
  room[0] = OUTCOME_OK;
  switch (data[0]) {
    case 'r': reverse(room + 1, bytes, bytes_len); break;
    case 'u': upper_case(room + 1, bytes, bytes_len); break;
    case 's': sum(room + 1, bytes, bytes_len); return reactor_reply_commit(reply, 1 + SUM_BYTES);
    default: return refuse(reply, "no such operation"); /* what is not committed is not sent */
  }
  return reactor_reply_commit(reply, 1 + bytes_len);
}

int main(int argc, char **argv) {
  struct example_settings settings = example_parse(argc, argv, REACTOR_MODE_SINGLE, EXAMPLE_NOT_GIVEN);
  example_catch_signals();

  reactor_options *options = reactor_options_new();
  reactor *server = NULL;
  bool big_endian = true, strip = true;
  if (options != NULL && example_set_workers(options, &settings) == REACTOR_STATUS_OK &&
      reactor_options_set_framing_length_prefix(options, PREFIX_BYTES, big_endian, strip) == REACTOR_STATUS_OK &&
      reactor_options_set_max_frame_bytes(options, PREFIX_BYTES + MAX_MESSAGE_BYTES) == REACTOR_STATUS_OK) {
    server = reactor_start_with(settings.addr, settings.mode, answer, options);
  }
  int exit_code = example_serve(server);
  reactor_options_free(options);
  return exit_code;
}
