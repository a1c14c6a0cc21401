/*
 * The libuv peer: what a C programmer picks today. uv_read_start, uv_try_write, and uv_write for what that leaves.
 */
#include "uv_peer.h"

static struct peer_settings settings;
static uv_loop_t loop;

struct connection {
  uv_tcp_t tcp; /* first: a handle is its connection */
  uint8_t matched;
};

struct pending {
  uv_write_t request;
  char bytes[];
};

static void on_closed(uv_handle_t *handle) { free(handle); }

static void end(uv_stream_t *stream) {
  if (!uv_is_closing((uv_handle_t *)stream)) {
    uv_close((uv_handle_t *)stream, on_closed);
  }
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer);

static void on_written(uv_write_t *request, int status) {
  if (status < 0) {
    end(request->handle);
  } else if (uv_stream_get_write_queue_size(request->handle) == 0 && !uv_is_closing((uv_handle_t *)request->handle)) {
    uv_read_start(request->handle, uv_peer_alloc, on_read);
  }
  free(request);
}

static void send_all(uv_stream_t *stream, char *bytes, size_t len) {
  uv_buf_t all = uv_buf_init(bytes, (unsigned)len);
  int sent = uv_try_write(stream, &all, 1);
  if (sent == (int)len) {
    return;
  }
  if (sent < 0 && sent != UV_EAGAIN) {
    end(stream);
    return;
  }
  size_t left = sent < 0 ? len : len - (size_t)sent;
  struct pending *pending = malloc(sizeof *pending + left);
  if (pending == NULL) {
    peer_die("malloc");
  }
  memcpy(pending->bytes, bytes + len - left, left);
  uv_buf_t rest = uv_buf_init(pending->bytes, (unsigned)left);
  uv_read_stop(stream);
  uv_peer_check(uv_write(&pending->request, stream, &rest, 1, on_written), "write");
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer) {
  if (len < 0) {
    end(stream);
  } else if (len > 0 && !settings.http) {
    send_all(stream, buffer->base, (size_t)len);
  } else if (len > 0) {
    struct connection *connection = (struct connection *)stream;
    for (int count = peer_count_requests(buffer->base, (size_t)len, &connection->matched); count > 0;
         count -= PEER_RESPONSES) {
      int some = count < PEER_RESPONSES ? count : PEER_RESPONSES;
      send_all(stream, peer_responses, (size_t)some * PEER_RESPONSE_BYTES);
    }
  }
}

static void on_connection(uv_stream_t *server, int status) {
  uv_peer_check(status, "connection");
  struct connection *connection = malloc(sizeof *connection);
  if (connection == NULL) {
    peer_die("malloc");
  }
  connection->matched = 0;
  uv_peer_accept(server, &connection->tcp, on_read);
}

int main(int argc, char **argv) {
  settings = peer_parse(argc, argv);
  uv_tcp_t server;
  uv_peer_listen(&loop, &server, settings.port, on_connection);
  return uv_run(&loop, UV_RUN_DEFAULT);
}
