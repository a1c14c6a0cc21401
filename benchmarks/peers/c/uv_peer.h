/*
 * What the two libuv peers share: how they listen, accept and end. Knows nothing of what they do with what they read.
 */
#ifndef UV_PEER_H
#define UV_PEER_H

#include "peer.h"

#include <uv.h>

/* One buffer for all connections: what is read is used before the callback returns. */
static char uv_peer_buffer[PEER_BUFFER_BYTES];

static inline void uv_peer_check(int status, const char *what) {
  if (status < 0) {
    fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
    exit(EXIT_FAILURE);
  }
}

static inline void uv_peer_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  (void)handle, (void)suggested;
  *buffer = uv_buf_init(uv_peer_buffer, sizeof uv_peer_buffer);
}

static inline void uv_peer_listen(uv_loop_t *loop, uv_tcp_t *server, uint16_t port, uv_connection_cb on_connection) {
  struct sockaddr_in address;
  uv_peer_check(uv_loop_init(loop), "loop");
  uv_peer_check(uv_ip4_addr("127.0.0.1", port, &address), "address");
  uv_peer_check(uv_tcp_init(loop, server), "tcp");
  uv_peer_check(uv_tcp_bind(server, (const struct sockaddr *)&address, 0), "bind");
  uv_peer_check(uv_listen((uv_stream_t *)server, PEER_BACKLOG, on_connection), "listen");
  int len = sizeof address;
  uv_peer_check(uv_tcp_getsockname(server, (struct sockaddr *)&address, &len), "getsockname");
  peer_say_where(ntohs(address.sin_port));
}

/* Takes the connection that waits, and begins to read it. */
static inline void uv_peer_accept(uv_stream_t *server, uv_tcp_t *tcp, uv_read_cb on_read) {
  uv_peer_check(uv_tcp_init(server->loop, tcp), "tcp");
  uv_peer_check(uv_accept(server, (uv_stream_t *)tcp), "accept");
  uv_tcp_nodelay(tcp, 1);
  uv_peer_check(uv_read_start((uv_stream_t *)tcp, uv_peer_alloc, on_read), "read");
}

#endif
