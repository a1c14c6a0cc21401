/*
 * Chat: what one client says, a line at a time, all of them hear; so do they who comes and who goes.
 *
 * Shows: reactor_broadcast to all and reactor_send to one, which need no request; conn_data, what belongs to one
 * connection, from on_open to on_close; delimiter framing with strip, where lines come in without their end, and get it
 * on their way out.
 *
 * Build, at the root of the repository, after `cargo xtask build`:
 *   cc -Iinclude examples/c/chat.c -Ltarget/release -lreactor -Wl,-rpath,"$PWD/target/release" -o target/chat
 * Try:
 *   target/chat & nc 127.0.0.1 3001        (and once more, in another terminal)
 */
#include "example.h"

enum {
  LINE_BYTES = 1024,              /* the longest line, with its end; a longer one ends its connection */
  SPEECH_BYTES = LINE_BYTES + 64, /* with the name of who says it */
  IDLE_TIMEOUT_MS = 3600 * 1000   /* of silence, the guest's own and everybody else's */
};

struct guest {
  unsigned number;
};

/* Guests come on several threads at once in MULTI, hence atomic. */
static atomic_uint guests_so_far;

/* To everyone, the guest itself with them. Whoever does not read, and has too much unread, is skipped. */
static reactor_status tell_all(const struct guest *guest, const char *what, const void *data, size_t len) {
  char line[SPEECH_BYTES];
  int name_len = snprintf(line, sizeof line, "guest %u%s", guest->number, what);
  memcpy(line + name_len, data, len); /* it may hold NULs, so no work for snprintf */
  return reactor_broadcast(reactor_current(), line, (size_t)name_len + len, NULL);
}

static bool greet(void *user_data, reactor_conn conn, const char *peer, void **conn_data) {
  (void)user_data, (void)peer;
  struct guest *guest = malloc(sizeof *guest);
  if (guest == NULL) {
    return false; /* drops the connection; on_close does not come for it */
  }
  guest->number = atomic_fetch_add(&guests_so_far, 1) + 1;
  *conn_data = guest;

  char greeting[64];
  int len = snprintf(greeting, sizeof greeting, "welcome, you are guest %u", guest->number);
  if (reactor_send(reactor_current(), conn, greeting, (size_t)len) != REACTOR_STATUS_OK ||
      tell_all(guest, " came", "", 0) != REACTOR_STATUS_OK) {
    fprintf(stderr, "guest %u: %s\n", guest->number, reactor_last_error()); /* such as a full memory_limit_bytes */
  }
  return true;
}

/* One line of a guest's. The order is SERIAL, the default: the next is not begun before this one is on its way. */
static int32_t pass_on(void *user_data, const uint8_t *data, size_t len, reactor_reply *reply) {
  (void)user_data;
  reactor_status status = tell_all(reactor_reply_conn_data(reply), ": ", data, len);
  if (status != REACTOR_STATUS_OK) {
    const char *why = reactor_status_message(status); /* a reply goes to the one who asked, and to nobody else */
    return reactor_reply_write(reply, why, strlen(why));
  }
  return 0; /* a reply that was never written to sends nothing */
}

/* The last callback of the connection, whatever ended it: the place to free what on_open made. */
static void see_off(void *user_data, reactor_conn conn, uint32_t reason, int32_t os_error, void *conn_data) {
  (void)user_data, (void)conn, (void)os_error;
  if (reason != REACTOR_CLOSE_SHUTDOWN) { /* else everybody goes, and nobody listens */
    (void)tell_all(conn_data, " left", "", 0);
  }
  free(conn_data);
}

int main(int argc, char **argv) {
  struct example_settings settings = example_parse(argc, argv, REACTOR_MODE_SINGLE, EXAMPLE_NOT_GIVEN);
  example_catch_signals();

  reactor_options *options = reactor_options_new();
  reactor *server = NULL;
  bool strip = true;
  if (options != NULL && example_set_workers(options, &settings) == REACTOR_STATUS_OK &&
      reactor_options_set_framing_delimiter(options, "\n", 1, strip) == REACTOR_STATUS_OK &&
      reactor_options_set_max_frame_bytes(options, LINE_BYTES) == REACTOR_STATUS_OK &&
      reactor_options_set_idle_timeout_ms(options, IDLE_TIMEOUT_MS) == REACTOR_STATUS_OK &&
      reactor_options_set_on_open(options, greet) == REACTOR_STATUS_OK &&
      reactor_options_set_on_close(options, see_off) == REACTOR_STATUS_OK) {
    server = reactor_start_with(settings.addr, settings.mode, pass_on, options);
  }
  int exit_code = example_serve(server);
  reactor_options_free(options);
  return exit_code;
}
