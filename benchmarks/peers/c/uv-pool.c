/*
 * The libuv pool peer: uv_queue_work for the compute step, uv_write in its completion. Echo, the compute step being a
 * sleep of so many ms, 0 for none. UV_THREADPOOL_SIZE says how many threads.
 *
 * One request of a connection at a time, so that replies keep their order: what is read meanwhile waits on a list.
 */
#include "uv_peer.h"

#include <time.h>

static struct peer_settings settings;
static uv_loop_t loop;

struct job {
  uv_work_t work; /* first: a work request is its job */
  uv_write_t write;
  struct connection *connection;
  struct job *next;
  size_t len;
  char bytes[];
};

struct connection {
  uv_tcp_t tcp; /* first: a handle is its connection */
  struct job *waiting, **last;
  int jobs;   /* not written yet */
  bool busy;  /* one is at work */
  bool ended; /* to be closed once all is written */
};

static void on_closed(uv_handle_t *handle) { free(handle); }

static void end_if_done(struct connection *connection) {
  if (connection->ended && connection->jobs == 0 && !uv_is_closing((uv_handle_t *)connection)) {
    uv_close((uv_handle_t *)connection, on_closed);
  }
}

static void compute(uv_work_t *work) {
  (void)work;
  if (settings.compute_ms > 0) {
    struct timespec time = {.tv_sec = settings.compute_ms / 1000, .tv_nsec = settings.compute_ms % 1000 * 1000000L};
    nanosleep(&time, NULL);
  }
}

static void start(struct job *job);

static void on_written(uv_write_t *request, int status) {
  struct job *job = request->data;
  struct connection *connection = job->connection;
  connection->ended |= status < 0;
  connection->jobs -= 1;
  free(job);
  end_if_done(connection);
}

static void on_computed(uv_work_t *work, int status) {
  struct job *job = (struct job *)work;
  struct connection *connection = job->connection;
  uv_peer_check(status, "work");
  uv_buf_t buffer = uv_buf_init(job->bytes, (unsigned)job->len);
  job->write.data = job;
  uv_peer_check(uv_write(&job->write, (uv_stream_t *)&connection->tcp, &buffer, 1, on_written), "write");
  connection->busy = false;
  struct job *next = connection->waiting;
  if (next != NULL) {
    connection->waiting = next->next;
    if (connection->waiting == NULL) {
      connection->last = &connection->waiting;
    }
    start(next);
  }
}

static void start(struct job *job) {
  job->connection->busy = true;
  uv_peer_check(uv_queue_work(&loop, &job->work, compute, on_computed), "queue");
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer) {
  struct connection *connection = (struct connection *)stream;
  if (len < 0) {
    connection->ended = true;
    uv_read_stop(stream);
    end_if_done(connection);
  } else if (len > 0) {
    struct job *job = malloc(sizeof *job + (size_t)len);
    if (job == NULL) {
      peer_die("malloc");
    }
    job->connection = connection;
    job->next = NULL;
    job->len = (size_t)len;
    memcpy(job->bytes, buffer->base, (size_t)len);
    connection->jobs += 1;
    if (connection->busy) {
      *connection->last = job;
      connection->last = &job->next;
    } else {
      start(job);
    }
  }
}

static void on_connection(uv_stream_t *server, int status) {
  uv_peer_check(status, "connection");
  struct connection *connection = calloc(1, sizeof *connection);
  if (connection == NULL) {
    peer_die("calloc");
  }
  connection->last = &connection->waiting;
  uv_peer_accept(server, &connection->tcp, on_read);
}

int main(int argc, char **argv) {
  settings = peer_parse(argc, argv);
  uv_tcp_t server;
  uv_peer_listen(&loop, &server, settings.port, on_connection);
  return uv_run(&loop, UV_RUN_DEFAULT);
}
