/* See host.h. */
#define _GNU_SOURCE
#include "host.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void vprint(FILE *stream, const char *format, va_list args) {
  flockfile(stream);
  vfprintf(stream, format, args);
  fputc('\n', stream);
  fflush(stream);
  funlockfile(stream);
}

void say(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vprint(stdout, format, args);
  va_end(args);
}

void die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vprint(stderr, format, args);
  va_end(args);
  fprintf(stderr, "last error of this thread: %d: %s\n", (int)reactor_last_status(), reactor_last_error());
  _Exit(1); /* not exit: other threads still use what it would take down */
}

static uint32_t number(const char *text) {
  char *end;
  unsigned long value = strtoul(text, &end, 10);
  CHECK(end != text && *end == '\0' && value <= UINT32_MAX);
  return (uint32_t)value;
}

static uint32_t mode_number(const char *name) {
  static const char *const names[] = {"single", "pooled", "multi"};
  for (uint32_t mode = 0; mode < 3; mode++) {
    if (strcmp(name, names[mode]) == 0) {
      return mode;
    }
  }
  die("no mode: %s", name);
  return 0;
}

static void limit_descriptors(uint32_t count) {
  struct rlimit limit = {.rlim_cur = count, .rlim_max = count};
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

struct host host_new(int argc, char **argv) {
  struct host host = {.addr = "127.0.0.1:0", .mode = REACTOR_MODE_SINGLE, .variant = ""};
  for (int i = 1; i < argc; i += 2) {
    CHECK(i + 1 < argc);
    const char *name = argv[i], *value = argv[i + 1];
    if (strcmp(name, "--addr") == 0) {
      host.addr = value;
    } else if (strcmp(name, "--mode") == 0) {
      host.mode = mode_number(value);
    } else if (strcmp(name, "--workers") == 0) {
      host.workers = number(value);
    } else if (strcmp(name, "--reactors") == 0) {
      host.reactors = number(value);
    } else if (strcmp(name, "--max-connections") == 0) {
      host.max_connections = number(value);
    } else if (strcmp(name, "--nofile") == 0) {
      limit_descriptors(number(value));
    } else if (strcmp(name, "--variant") == 0) {
      host.variant = value;
    } else {
      die("no option: %s", name);
    }
  }
  return host;
}

reactor_options *host_options(const struct host *host) {
  reactor_options *options = reactor_options_new();
  CHECK(options != NULL);
  if (host->workers != 0) {
    CHECK(reactor_options_set_workers(options, host->workers) == REACTOR_STATUS_OK);
  }
  if (host->reactors != 0) {
    CHECK(reactor_options_set_reactors(options, host->reactors) == REACTOR_STATUS_OK);
  }
  if (host->max_connections != 0) {
    CHECK(reactor_options_set_max_connections(options, host->max_connections) == REACTOR_STATUS_OK);
  }
  return options;
}

static void check_dispositions_are_default(void) {
  static const int signals[] = {SIGPIPE, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGSEGV, SIGBUS, SIGABRT};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    struct sigaction action;
    CHECK(sigaction(signals[i], NULL, &action) == 0);
    if (action.sa_handler != SIG_DFL) {
      die("signal %d is not at its default", signals[i]);
    }
  }
}

static void check_mask_is_empty(void) {
  sigset_t mask;
  CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0);
  CHECK(sigisemptyset(&mask));
}

reactor *host_start(const struct host *host, reactor_process_fn process, reactor_options *options) {
  /* A program inherits what is ignored: by Rust's runtime, by a shell of what it starts in the background, by nohup. */
  signal(SIGPIPE, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
  check_dispositions_are_default();
  reactor *reactor = reactor_start_with(host->addr, host->mode, process, options);
  if (reactor == NULL) {
    die("reactor_start_with %s", host->addr);
  }
  reactor_options_free(options);
  check_dispositions_are_default();
  check_mask_is_empty();
  char address[128];
  CHECK(reactor_local_address(reactor, address, sizeof address) < sizeof address);
  say("listening on %s", address);
  return reactor;
}

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opened = PTHREAD_COND_INITIALIZER;
static bool gate_open[2];

void host_pass_gate(unsigned gate) {
  pthread_mutex_lock(&gate_lock);
  while (!gate_open[gate]) {
    pthread_cond_wait(&gate_opened, &gate_lock);
  }
  pthread_mutex_unlock(&gate_lock);
}

static void open_gate(unsigned gate) {
  pthread_mutex_lock(&gate_lock);
  gate_open[gate] = true;
  pthread_cond_broadcast(&gate_opened);
  pthread_mutex_unlock(&gate_lock);
}

/* One line of standard input, without its end; false at the end of the input. Not stdio's, whose lock would be held while
   main exits. */
static bool read_command(char *line, size_t capacity) {
  for (size_t len = 0; len < capacity; len++) {
    if (read(STDIN_FILENO, &line[len], 1) != 1) {
      return false;
    }
    if (line[len] == '\n') {
      line[len] = '\0';
      return true;
    }
  }
  die("a command is too long");
  return false;
}

/* Held while the commands use the handle, so that it is not freed under them. */
static pthread_mutex_t handle_lock = PTHREAD_MUTEX_INITIALIZER;

static void request_stop(reactor *reactor, uint32_t drain_timeout_ms) {
  pthread_mutex_lock(&handle_lock);
  CHECK(reactor_request_stop(reactor, drain_timeout_ms) == REACTOR_STATUS_OK);
  pthread_mutex_unlock(&handle_lock);
}

static void *obey(void *argument) {
  char line[64];
  bool stopped = false;
  while (read_command(line, sizeof line)) {
    if (strcmp(line, "go 0") == 0 || strcmp(line, "go 1") == 0) {
      open_gate(line[3] == '1');
    } else if (strncmp(line, "stop ", 5) == 0) {
      request_stop(argument, number(line + 5));
      stopped = true;
    } else {
      die("no command: %s", line);
    }
  }
  if (!stopped) {
    request_stop(argument, 10000);
  }
  return NULL;
}

int host_run(reactor *reactor) {
  pthread_t commands;
  CHECK(pthread_create(&commands, NULL, obey, reactor) == 0);
  reactor_drain_report report = {.struct_size = sizeof report};
  reactor_status status = reactor_wait(reactor, &report);
  if (status != REACTOR_STATUS_OK && status != REACTOR_STATUS_TIMED_OUT) {
    die("reactor_wait: %s", reactor_status_name(status));
  }
  check_dispositions_are_default();
  say("wait %s", reactor_status_name(status));
  say("stopped: drained=%llu aborted=%llu completed=%llu abandoned=%llu unsent=%llu running=%llu",
      (unsigned long long)report.connections_drained, (unsigned long long)report.connections_aborted,
      (unsigned long long)report.requests_completed, (unsigned long long)report.requests_abandoned,
      (unsigned long long)report.bytes_unsent, (unsigned long long)report.callbacks_running);
  if (status == REACTOR_STATUS_TIMED_OUT) {
    /* The test lets the callback go on, sees what follows, and ends our input. */
    CHECK(pthread_join(commands, NULL) == 0);
  }
  pthread_mutex_lock(&handle_lock);
  status = reactor_free(reactor);
  say("free %s", reactor_status_name(status));
  return 0; /* with handle_lock held: the commands have nothing to use any more */
}

int host_connect(const reactor *reactor) {
  char address[128];
  CHECK(reactor_local_address(reactor, address, sizeof address) < sizeof address);
  char *colon = strrchr(address, ':');
  CHECK(colon != NULL);
  *colon = '\0';
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number(colon + 1))};
  CHECK(inet_pton(AF_INET, address, &to.sin_addr) == 1);
  int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(client >= 0);
  struct timeval deadline = {.tv_sec = 30};
  CHECK(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline) == 0);
  CHECK(connect(client, (struct sockaddr *)&to, sizeof to) == 0);
  return client;
}

void host_ask(int client, const char *text, const char *due, bool end) {
  CHECK(send(client, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
  size_t len = strlen(due), have = 0;
  char bytes[256];
  CHECK(len < sizeof bytes);
  while (have < len || end) {
    ssize_t count = recv(client, bytes + have, len + 1 - have, 0);
    CHECK(count >= 0);
    if (count == 0) {
      break;
    }
    have += (size_t)count;
    CHECK(have <= len);
  }
  CHECK(have == len && memcmp(bytes, due, len) == 0);
}

const char *host_own_address(void) {
  static char address[64];
  unsigned pid = (unsigned)getpid();
  snprintf(address, sizeof address, "127.%u.%u.%u:0", 1 + (pid >> 16) % 254, (pid >> 8) % 256, 1 + pid % 254);
  return address;
}

int host_descriptors(void) {
  DIR *folder = opendir("/proc/self/fd");
  CHECK(folder != NULL);
  int count = -3; /* ".", ".." and the folder itself */
  while (readdir(folder) != NULL) {
    count++;
  }
  closedir(folder);
  return count;
}

const char *reason_name(uint32_t reason) {
  switch (reason) {
  case REACTOR_CLOSE_PEER: return "PEER";
  case REACTOR_CLOSE_LOCAL: return "LOCAL";
  case REACTOR_CLOSE_SHUTDOWN: return "SHUTDOWN";
  case REACTOR_CLOSE_RESET: return "RESET";
  case REACTOR_CLOSE_IDLE_TIMEOUT: return "IDLE_TIMEOUT";
  case REACTOR_CLOSE_FRAME_TIMEOUT: return "FRAME_TIMEOUT";
  case REACTOR_CLOSE_WRITE_TIMEOUT: return "WRITE_TIMEOUT";
  case REACTOR_CLOSE_FRAME_TOO_LARGE: return "FRAME_TOO_LARGE";
  case REACTOR_CLOSE_PROTOCOL_ERROR: return "PROTOCOL_ERROR";
  case REACTOR_CLOSE_OUTPUT_LIMIT: return "OUTPUT_LIMIT";
  case REACTOR_CLOSE_CALLBACK_FAILED: return "CALLBACK_FAILED";
  default: return "UNKNOWN";
  }
}

const char *thread_name(void) {
  static _Thread_local char name[16];
  prctl(PR_GET_NAME, name);
  return name;
}
