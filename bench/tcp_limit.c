// SPDX-License-Identifier: Apache-2.0
/* The limit that a move over loopback is measured against: plain sends and receives between
 * two processes. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_STREAMS 16

struct stream {
    int fd;
    uint64_t bytes;
    size_t chunk;
    int failed;
};

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *send_all(void *arg)
{
    struct stream *s = arg;
    char *buffer = malloc(s->chunk);
    uint64_t left = s->bytes;

    if (buffer == NULL) {
        s->failed = 1;
        return NULL;
    }
    memset(buffer, 0x5a, s->chunk);
    while (left > 0) {
        size_t want = left < s->chunk ? (size_t)left : s->chunk;
        ssize_t sent = send(s->fd, buffer, want, MSG_NOSIGNAL);

        if (sent <= 0) {
            s->failed = 1;
            break;
        }
        left -= (uint64_t)sent;
    }
    free(buffer);
    return NULL;
}

static void *receive_all(void *arg)
{
    struct stream *s = arg;
    char *buffer = malloc(s->chunk);
    uint64_t left = s->bytes;

    while (buffer != NULL && left > 0) {
        ssize_t got = recv(s->fd, buffer, left < s->chunk ? (size_t)left : s->chunk, 0);

        if (got <= 0)
            break;
        left -= (uint64_t)got;
    }
    s->failed = left > 0;
    free(buffer);
    return NULL;
}

/* All streams at once, a thread each. 0 when every byte went. */
static int run(struct stream *streams, int count, void *(*work)(void *))
{
    pthread_t threads[MAX_STREAMS];
    int failed = 0;

    for (int i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, work, &streams[i]) != 0)
            return -1;
    }
    for (int i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
        failed |= streams[i].failed;
    }
    return failed ? -1 : 0;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = port, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 2;
    size_t chunk = argc > 2 ? (size_t)strtoull(argv[2], NULL, 10) : 1u << 20;
    uint64_t bytes = argc > 3 ? strtoull(argv[3], NULL, 10) : 2ull << 30;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    struct stream streams[MAX_STREAMS] = {0};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    double begin;
    double end;
    int status;
    pid_t child;

    if (count < 1 || count > MAX_STREAMS || chunk == 0 || listener < 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, MAX_STREAMS) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        fprintf(stderr, "tcp_limit [STREAMS [CHUNK [BYTES]]]: %s\n", strerror(errno));
        return 2;
    }
    for (int i = 0; i < count; i++)
        streams[i] = (struct stream){.chunk = chunk, .bytes = bytes / (uint64_t)count};
    child = fork();
    if (child < 0)
        return 1;
    if (child == 0) {
        for (int i = 0; i < count; i++)
            streams[i].fd = connect_to(address.sin_port);
        _exit(run(streams, count, send_all) == 0 ? 0 : 1);
    }
    for (int i = 0; i < count; i++) {
        streams[i].fd = accept(listener, NULL, NULL);
        if (streams[i].fd < 0)
            return 1;
    }
    begin = now();
    if (run(streams, count, receive_all) != 0 || waitpid(child, &status, 0) != child ||
        status != 0) {
        fprintf(stderr, "tcp_limit: a stream broke\n");
        return 1;
    }
    end = now();
    printf("{\"streams\": %d, \"chunk_bytes\": %zu, \"bytes\": %" PRIu64
           ", \"bytes_per_s\": %.0f}\n",
           count, chunk, bytes, (double)bytes / (end - begin));
    return 0;
}
