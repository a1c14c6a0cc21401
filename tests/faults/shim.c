/*
 * Stands between a server and the system (LD_PRELOAD) and lets calls fail or do less than they could, as a real system
 * might. Knows nothing of the library above it: it sees the calls of the C library and their descriptors.
 *
 * REACTOR_FAULTS says what to do:
 *   CALL:N:ERRNO  the Nth call of CALL (recv, recvmsg, send, sendmsg, accept4, epoll_ctl, epoll_wait, shutdown, setsockopt)
 *                 fails once with that error number, and `fault: CALL N ERRNO` is printed. The first connection that is
 *                 accepted, the bystander, is spared, and its calls are not counted. recv to sendmsg are those of
 *                 connections; a send on another socket, with which a server wakes itself, is called `bell`.
 *   count:0:0     nothing fails; counts only.
 *   short:SEED    every read and write moves 1 to 7 bytes, and one in eight fails with EINTR or EAGAIN instead.
 * At the process's end, and after the fault, the calls so far are printed: `calls: recv=N ...`.
 *
 * An edge-triggered poller tells of bytes once. A real socket that takes or gives less than it could, or says EAGAIN, tells
 * again when that changes; so after a faked one the registration is renewed, which makes the poller look again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAX_DESCRIPTORS = 32768 };

enum call { RECV, RECVMSG, SEND, SENDMSG, ACCEPT4, EPOLL_CTL, EPOLL_WAIT, SHUTDOWN, SETSOCKOPT, BELL, CALLS };
static const char *const names[CALLS] = {"recv",      "recvmsg",    "send",     "sendmsg",   "accept4",
                                         "epoll_ctl", "epoll_wait", "shutdown", "setsockopt", "bell"};

static enum call faulty = CALLS;
static unsigned long faulty_number;
static int faulty_errno;
static bool is_short;
static atomic_ulong counts[CALLS];
static atomic_ulong state; /* of the random numbers */
static atomic_int spared = -1;

static atomic_bool is_connection[MAX_DESCRIPTORS];

/* What the poller was told of a descriptor, so that it can be told again. */
static struct registration {
  int poller; /* 0: none */
  struct epoll_event event;
} registrations[MAX_DESCRIPTORS];
static pthread_mutex_t registrations_lock = PTHREAD_MUTEX_INITIALIZER;

/* Resolved before the first thread: dlsym takes locks. */
static struct {
  ssize_t (*recv)(int, void *, size_t, int);
  ssize_t (*recvmsg)(int, struct msghdr *, int);
  ssize_t (*send)(int, const void *, size_t, int);
  ssize_t (*sendmsg)(int, const struct msghdr *, int);
  int (*accept4)(int, struct sockaddr *, socklen_t *, int);
  int (*epoll_ctl)(int, int, int, struct epoll_event *);
  int (*epoll_wait)(int, struct epoll_event *, int, int);
  int (*shutdown)(int, int);
  int (*setsockopt)(int, int, int, const void *, socklen_t);
} system_call;

static void print_counts(void) {
  char line[512];
  size_t len = 0;
  for (int call = 0; call < CALLS; call++) {
    unsigned long count = atomic_load(&counts[call]);
    len += (size_t)snprintf(line + len, sizeof line - len, "%s%s=%lu", call == 0 ? "calls: " : " ", names[call], count);
  }
  line[len++] = '\n';
  (void)!write(STDOUT_FILENO, line, len); /* not stdio: another thread may hold its lock */
}

static void refuse(const char *text) {
  fprintf(stderr, "REACTOR_FAULTS: cannot read '%s'\n", text);
  _exit(2);
}

static void read_faults(const char *text) {
  char name[32];
  unsigned long number;
  int error;
  if (sscanf(text, "short:%lu", &number) == 1) {
    is_short = true;
    atomic_store(&state, number);
  } else if (sscanf(text, "%31[a-z0-9_]:%lu:%d", name, &number, &error) == 3) {
    for (int call = 0; call < CALLS; call++) {
      if (strcmp(name, names[call]) == 0) {
        faulty = (enum call)call;
        faulty_number = number;
        faulty_errno = error;
      }
    }
    if (faulty == CALLS && strcmp(name, "count") != 0) {
      refuse(text);
    }
  } else {
    refuse(text);
  }
}

__attribute__((constructor)) static void begin(void) {
  *(void **)&system_call.recv = dlsym(RTLD_NEXT, "recv");
  *(void **)&system_call.recvmsg = dlsym(RTLD_NEXT, "recvmsg");
  *(void **)&system_call.send = dlsym(RTLD_NEXT, "send");
  *(void **)&system_call.sendmsg = dlsym(RTLD_NEXT, "sendmsg");
  *(void **)&system_call.accept4 = dlsym(RTLD_NEXT, "accept4");
  *(void **)&system_call.epoll_ctl = dlsym(RTLD_NEXT, "epoll_ctl");
  *(void **)&system_call.epoll_wait = dlsym(RTLD_NEXT, "epoll_wait");
  *(void **)&system_call.shutdown = dlsym(RTLD_NEXT, "shutdown");
  *(void **)&system_call.setsockopt = dlsym(RTLD_NEXT, "setsockopt");
  const char *text = getenv("REACTOR_FAULTS");
  if (text == NULL) {
    refuse("(nothing)");
  }
  read_faults(text);
  atexit(print_counts);
}

static unsigned long random_below(unsigned long end) {
  /* splitmix64 (Steele, Lea, Flood 2014): one atomic step a number, so that threads need no lock. */
  uint64_t z = atomic_fetch_add(&state, 0x9E3779B97F4A7C15u) + 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (z ^ (z >> 31)) % end;
}

/* Makes the poller look at the descriptor again, and tell what it finds. */
static void tell_again(int fd) {
  if (fd < 0 || fd >= MAX_DESCRIPTORS) {
    return;
  }
  pthread_mutex_lock(&registrations_lock);
  struct registration *registration = &registrations[fd];
  if (registration->poller != 0) {
    struct epoll_event event = registration->event;
    system_call.epoll_ctl(registration->poller, EPOLL_CTL_MOD, fd, &event);
  }
  pthread_mutex_unlock(&registrations_lock);
}

static void remember(int poller, int operation, int fd, const struct epoll_event *event) {
  if (fd < 0 || fd >= MAX_DESCRIPTORS) {
    return;
  }
  pthread_mutex_lock(&registrations_lock);
  registrations[fd].poller = operation == EPOLL_CTL_DEL ? 0 : poller;
  if (event != NULL) {
    registrations[fd].event = *event;
  }
  pthread_mutex_unlock(&registrations_lock);
}

/* Whether this call is the one that is to fail; errno is then set. */
static bool fails(enum call call, int fd) {
  if (fd >= 0 && fd == atomic_load(&spared)) {
    return false;
  }
  unsigned long number = atomic_fetch_add(&counts[call], 1) + 1;
  if (call != faulty || number != faulty_number) {
    return false;
  }
  dprintf(STDOUT_FILENO, "fault: %s %lu %d\n", names[call], number, faulty_errno);
  errno = faulty_errno;
  return true;
}

/* As fails, for what moves bytes: EAGAIN is followed by an event. */
static bool moves_nothing(enum call call, int fd) {
  bool failed = fails(call, fd);
  if (!failed && is_short && random_below(8) == 0) {
    failed = true;
    errno = random_below(2) == 0 ? EINTR : EAGAIN;
  }
  if (failed && errno == EAGAIN) {
    tell_again(fd);
    errno = EAGAIN;
  }
  return failed;
}

/* How many of len bytes may move. */
static size_t portion(size_t len) {
  size_t most = is_short ? 1 + random_below(7) : len;
  return most < len ? most : len;
}

static ssize_t moved(int fd, ssize_t result, size_t allowed, size_t asked) {
  if (result > 0 && allowed < asked && (size_t)result == allowed) {
    tell_again(fd);
  }
  return result;
}

ssize_t recv(int fd, void *buffer, size_t len, int flags) {
  if (moves_nothing(RECV, fd)) {
    return -1;
  }
  size_t allowed = (flags & MSG_PEEK) != 0 ? len : portion(len); /* a peek takes nothing: there is no rest to lose */
  return moved(fd, system_call.recv(fd, buffer, allowed, flags), allowed, len);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
  return moves_nothing(RECVMSG, fd) ? -1 : system_call.recvmsg(fd, message, flags);
}

ssize_t send(int fd, const void *bytes, size_t len, int flags) {
  if (fd < 0 || fd >= MAX_DESCRIPTORS || !atomic_load(&is_connection[fd])) {
    return fails(BELL, -1) ? -1 : system_call.send(fd, bytes, len, flags);
  }
  if (moves_nothing(SEND, fd)) {
    return -1;
  }
  size_t allowed = portion(len);
  return moved(fd, system_call.send(fd, bytes, allowed, flags), allowed, len);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  if (moves_nothing(SENDMSG, fd)) {
    return -1;
  }
  if (!is_short) {
    return system_call.sendmsg(fd, message, flags);
  }
  /* Parts of as many slices as the portion reaches, so that it may end in any of them. */
  size_t asked = 0;
  for (size_t i = 0; i < message->msg_iovlen; i++) {
    asked += message->msg_iov[i].iov_len;
  }
  size_t allowed = portion(asked), left = allowed, count = 0;
  struct iovec slices[8];
  for (size_t i = 0; i < message->msg_iovlen && left > 0 && count < 8; i++) {
    if (message->msg_iov[i].iov_len == 0) {
      continue;
    }
    slices[count] = message->msg_iov[i];
    slices[count].iov_len = slices[count].iov_len < left ? slices[count].iov_len : left;
    left -= slices[count].iov_len;
    count++;
  }
  struct msghdr shorter = *message;
  shorter.msg_iov = slices;
  shorter.msg_iovlen = count;
  return moved(fd, system_call.sendmsg(fd, &shorter, flags), allowed - left, asked);
}

/* The errors that accept4 has of the connection it would have returned, which is then lost: accept(2), "Error handling". */
static bool loses_connection(int error) {
  switch (error) {
  case ECONNABORTED: case EPROTO: case EPERM: case ENETDOWN: case ENOPROTOOPT: case EHOSTDOWN: case ENONET:
  case EHOSTUNREACH: case EOPNOTSUPP: case ENETUNREACH:
    return true;
  default:
    return false;
  }
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags) {
  if (fails(ACCEPT4, -1)) {
    int error = errno;
    if (loses_connection(error)) {
      int lost = system_call.accept4(fd, NULL, NULL, flags);
      if (lost >= 0) {
        close(lost);
      }
    } else if (error == EAGAIN) {
      tell_again(fd);
    }
    errno = error;
    return -1;
  }
  int accepted = system_call.accept4(fd, address, len, flags);
  int nobody = -1;
  if (accepted >= 0) {
    if (accepted < MAX_DESCRIPTORS) {
      atomic_store(&is_connection[accepted], true);
    }
    atomic_compare_exchange_strong(&spared, &nobody, accepted);
  }
  return accepted;
}

int epoll_ctl(int poller, int operation, int fd, struct epoll_event *event) {
  if (fails(EPOLL_CTL, fd)) {
    return -1;
  }
  int result = system_call.epoll_ctl(poller, operation, fd, event);
  if (result == 0) {
    remember(poller, operation, fd, event);
  }
  return result;
}

int epoll_wait(int poller, struct epoll_event *events, int capacity, int timeout_ms) {
  return fails(EPOLL_WAIT, -1) ? -1 : system_call.epoll_wait(poller, events, capacity, timeout_ms);
}

int shutdown(int fd, int how) {
  return fails(SHUTDOWN, fd) ? -1 : system_call.shutdown(fd, how);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
  return fails(SETSOCKOPT, fd) ? -1 : system_call.setsockopt(fd, level, name, value, len);
}
