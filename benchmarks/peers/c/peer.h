/*
 * What the C peers share: their command line, and how they listen. Knows nothing of libreactor.
 */
#ifndef PEER_H
#define PEER_H

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  PEER_BACKLOG = 4096,
  PEER_BUFFER_BYTES = 64 * 1024,
  /* So many pipelined requests are answered by one write; more take another. */
  PEER_RESPONSES = 256
};

static const char peer_response[] =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 6\r\n"
    "Connection: keep-alive\r\n"
    "\r\n"
    "hello\n";
enum { PEER_RESPONSE_BYTES = sizeof peer_response - 1 };

/* PEER_RESPONSES responses, one after the other. */
static char peer_responses[PEER_RESPONSES * PEER_RESPONSE_BYTES];

struct peer_settings {
  uint16_t port;
  bool http; /* else echo */
  int loops; /* of the raw peer */
  int compute_ms; /* of the pooled one */
};

static inline _Noreturn void peer_die(const char *what) {
  perror(what);
  exit(EXIT_FAILURE);
}

/* PROGRAM PORT [echo|http] [loops or compute ms] */
static inline struct peer_settings peer_parse(int argc, char **argv) {
  struct peer_settings settings = {.loops = 1};
  if (argc < 2) {
    fprintf(stderr, "usage: %s PORT [echo|http] [NUMBER]\n", argv[0]);
    exit(2);
  }
  settings.port = (uint16_t)atoi(argv[1]);
  settings.http = argc > 2 && strcmp(argv[2], "http") == 0;
  settings.loops = argc > 3 ? atoi(argv[3]) : 1;
  settings.compute_ms = argc > 3 ? atoi(argv[3]) : 0;
  for (int i = 0; i < PEER_RESPONSES; i += 1) {
    memcpy(peer_responses + i * PEER_RESPONSE_BYTES, peer_response, PEER_RESPONSE_BYTES);
  }
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  return settings;
}

/* How many request heads end in these bytes, the beginning of one having been seen before: `*matched` is how many bytes
 * of the blank line (CR LF CR LF) the bytes so far end in. */
static inline int peer_count_requests(const char *bytes, size_t len, uint8_t *matched) {
  static const char blank_line[] = "\r\n\r\n";
  const char *at = bytes, *end = bytes + len;
  int count = 0;
  while (*matched > 0 && at < end) {
    char byte = *at++;
    if (byte == blank_line[*matched]) {
      *matched += 1;
      if (*matched == 4) {
        *matched = 0;
        count += 1;
      }
    } else {
      *matched = byte == '\r';
    }
  }
  for (const char *found; at < end && (found = memmem(at, (size_t)(end - at), blank_line, 4)) != NULL;) {
    count += 1;
    at = found + 4;
  }
  for (size_t tail = (size_t)(end - at) < 3 ? (size_t)(end - at) : 3; tail > 0; tail -= 1) {
    if (memcmp(end - tail, blank_line, tail) == 0) {
      *matched = (uint8_t)tail;
      break;
    }
  }
  return count;
}

static inline void peer_say_where(uint16_t port) {
  printf("listening on 127.0.0.1:%u\n", port);
  fflush(stdout);
}

#endif
