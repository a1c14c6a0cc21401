/*
 * The raw peer: the limit of readiness I/O. One or more bare epoll loops, level-triggered, one read and one write a
 * request, no features. Loop 0 accepts and deals the connections out in turn.
 *
 * What a socket does not take at once is kept, and the connection is not read until it has gone; nothing else is
 * remembered of a connection.
 */
#include "peer.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>

enum { EVENTS = 1024, DESCRIPTORS = 65536 };

struct unsent {
  char *bytes;
  size_t len, done;
};

static struct peer_settings settings;
static struct unsent *unsent[DESCRIPTORS]; /* by descriptor */
static uint8_t matched[DESCRIPTORS];
static int pollers[64];
static int listener;

static void watch(int poller, int operation, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (epoll_ctl(poller, operation, fd, &event) != 0) {
    peer_die("epoll_ctl");
  }
}

static void accept_all(void) {
  static int next;
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    matched[fd] = 0;
    watch(pollers[next], EPOLL_CTL_ADD, fd, EPOLLIN);
    next = next + 1 == settings.loops ? 0 : next + 1;
  }
}

static void forget(int fd) {
  if (unsent[fd] != NULL) {
    free(unsent[fd]->bytes);
    free(unsent[fd]);
    unsent[fd] = NULL;
  }
  close(fd);
}

static void keep(int poller, int fd, const char *bytes, size_t len) {
  struct unsent *kept = unsent[fd];
  if (kept == NULL) {
    kept = unsent[fd] = calloc(1, sizeof *kept);
    if (kept == NULL) {
      peer_die("calloc");
    }
    watch(poller, EPOLL_CTL_MOD, fd, EPOLLOUT);
  }
  kept->bytes = realloc(kept->bytes, kept->len + len);
  if (kept->bytes == NULL) {
    peer_die("realloc");
  }
  memcpy(kept->bytes + kept->len, bytes, len);
  kept->len += len;
}

static void send_all(int poller, int fd, const char *bytes, size_t len) {
  ssize_t sent = unsent[fd] == NULL ? write(fd, bytes, len) : 0;
  if (sent == (ssize_t)len) {
    return;
  }
  if (sent >= 0 || errno == EAGAIN) {
    size_t done = sent < 0 ? 0 : (size_t)sent;
    keep(poller, fd, bytes + done, len - done);
  } /* any other error shows at the next read */
}

static void send_kept(int poller, int fd) {
  struct unsent *kept = unsent[fd];
  ssize_t sent = write(fd, kept->bytes + kept->done, kept->len - kept->done);
  if (sent < 0) {
    if (errno != EAGAIN) {
      forget(fd);
    }
    return;
  }
  kept->done += (size_t)sent;
  if (kept->done == kept->len) {
    free(kept->bytes);
    free(kept);
    unsent[fd] = NULL;
    watch(poller, EPOLL_CTL_MOD, fd, EPOLLIN);
  }
}

static void *loop(void *number) {
  int poller = pollers[(intptr_t)number];
  char *buffer = malloc(PEER_BUFFER_BYTES);
  struct epoll_event events[EVENTS];
  for (;;) {
    int ready = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < ready; i += 1) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        accept_all();
        continue;
      }
      if (unsent[fd] != NULL) {
        send_kept(poller, fd);
        continue;
      }
      ssize_t len = read(fd, buffer, PEER_BUFFER_BYTES);
      if (len <= 0) {
        if (len == 0 || errno != EAGAIN) {
          forget(fd);
        }
      } else if (!settings.http) {
        send_all(poller, fd, buffer, (size_t)len);
      } else {
        for (int count = peer_count_requests(buffer, (size_t)len, &matched[fd]); count > 0; count -= PEER_RESPONSES) {
          int some = count < PEER_RESPONSES ? count : PEER_RESPONSES;
          send_all(poller, fd, peer_responses, (size_t)some * PEER_RESPONSE_BYTES);
        }
      }
    }
  }
  return NULL;
}

int main(int argc, char **argv) {
  settings = peer_parse(argc, argv);
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(settings.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, PEER_BACKLOG) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &len) != 0) {
    peer_die("listening");
  }
  for (int i = 0; i < settings.loops; i += 1) {
    pollers[i] = epoll_create1(EPOLL_CLOEXEC);
  }
  watch(pollers[0], EPOLL_CTL_ADD, listener, EPOLLIN);
  /* In a process with threads, growing the descriptor table waits for an RCU grace period each time. */
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    int grown = fcntl(listener, F_DUPFD_CLOEXEC, (int)limit.rlim_cur - 1);
    if (grown >= 0) {
      close(grown);
    }
  }
  for (intptr_t i = 1; i < settings.loops; i += 1) {
    pthread_t thread;
    pthread_create(&thread, NULL, loop, (void *)i);
  }
  peer_say_where(ntohs(address.sin_port));
  loop((void *)0);
}
