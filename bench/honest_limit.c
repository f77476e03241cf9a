// SPDX-License-Identifier: Apache-2.0
/* What a move may cost at least: two processes that do what the contract forces, and nothing else.
 * The source copies each chunk out of its VRAM into a slot, takes a digest of each page and sends
 * head, digests and slot. The target receives into a slot, copies it into its own VRAM, copies that
 * back into a second slot, and holds the digests of what it read back against those that came. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

enum { MAX_STREAMS = 16, PAGE = 4096 };

struct head {
    uint64_t offset; /* in VRAM */
    uint64_t bytes;  /* of the payload, whole pages */
};

/* One stream of one side. Stream i of n owns every n-th chunk. */
struct stream {
    int fd;
    int index;
    int count;
    uint64_t bytes; /* of all streams */
    size_t chunk;
    unsigned char *vram;
    bool spoil; /* the target's VRAM loses a bit, which must be found */
    bool failed;
};

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A region like a GPU's memory: a file that is mapped, all of it there before the clock starts.
 * With a seed each word of it is another. */
static unsigned char *make_vram(uint64_t bytes, uint64_t seed)
{
    int fd = memfd_create("vram", MFD_CLOEXEC);
    uint64_t *words;

    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
        return NULL;
    words = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    (void)close(fd);
    if (words == MAP_FAILED)
        return NULL;
    for (uint64_t i = 0; i < bytes / sizeof *words; i++)
        words[i] = seed == 0 ? 0 : (i + seed) * 0x9e3779b97f4a7c15ull;
    return (unsigned char *)words;
}

/* A blocking socket takes and gives all of it, or is broken. */
static bool send_all(int fd, struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += parts[i].iov_len;
    return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)bytes;
}

static bool receive_all(int fd, void *into, size_t bytes)
{
    return recv(fd, into, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

static void digest_pages(const unsigned char *slot, size_t bytes, uint64_t *digests)
{
    for (size_t i = 0; i < bytes / PAGE; i++)
        digests[i] = XXH3_64bits(slot + i * PAGE, PAGE);
}

static void *source(void *arg)
{
    struct stream *s = arg;
    unsigned char *slot = aligned_alloc(PAGE, s->chunk);
    uint64_t *digests = calloc(s->chunk / PAGE, sizeof *digests);
    char done;

    s->failed = slot == NULL || digests == NULL;
    for (uint64_t at = (uint64_t)s->index * s->chunk; at < s->bytes && !s->failed;
         at += (uint64_t)s->count * s->chunk) {
        uint64_t left = s->bytes - at;
        struct head head = {.offset = at, .bytes = left < s->chunk ? left : s->chunk};
        struct iovec parts[] = {{&head, sizeof head},
                                {digests, head.bytes / PAGE * sizeof *digests},
                                {slot, head.bytes}};

        memcpy(slot, s->vram + at, head.bytes);
        digest_pages(slot, head.bytes, digests);
        s->failed = !send_all(s->fd, parts, 3);
    }
    /* Over when the target says that all of it is proven. */
    s->failed = s->failed || shutdown(s->fd, SHUT_WR) != 0 || !receive_all(s->fd, &done, 1);
    free(digests);
    free(slot);
    return NULL;
}

static void *target(void *arg)
{
    struct stream *s = arg;
    unsigned char *slot = aligned_alloc(PAGE, s->chunk);
    unsigned char *back = aligned_alloc(PAGE, s->chunk);
    uint64_t *sent = calloc(s->chunk / PAGE, sizeof *sent);
    uint64_t *found = calloc(s->chunk / PAGE, sizeof *found);
    struct head head;

    s->failed = slot == NULL || back == NULL || sent == NULL || found == NULL;
    for (uint64_t at = (uint64_t)s->index * s->chunk; at < s->bytes && !s->failed;
         at += (uint64_t)s->count * s->chunk) {
        s->failed = !receive_all(s->fd, &head, sizeof head) || head.offset != at ||
                    head.bytes > s->chunk || head.bytes > s->bytes - at ||
                    !receive_all(s->fd, sent, head.bytes / PAGE * sizeof *sent) ||
                    !receive_all(s->fd, slot, head.bytes);
        if (s->failed)
            break;
        memcpy(s->vram + at, slot, head.bytes);
        if (s->spoil && at == 0)
            s->vram[PAGE] ^= 1;
        memcpy(back, s->vram + at, head.bytes);
        digest_pages(back, head.bytes, found);
        s->failed = memcmp(sent, found, head.bytes / PAGE * sizeof *sent) != 0;
    }
    s->failed = s->failed || send(s->fd, "", 1, MSG_NOSIGNAL) != 1;
    if (s->failed) /* the source hears of it at once */
        (void)shutdown(s->fd, SHUT_RDWR);
    free(found);
    free(sent);
    free(back);
    free(slot);
    return NULL;
}

/* All streams at once, a thread each. Did every byte go? */
static bool run(struct stream *streams, int count, void *(*work)(void *))
{
    pthread_t threads[MAX_STREAMS];
    bool failed = false;

    for (int i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, work, &streams[i]) != 0)
            return false;
    }
    for (int i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
        failed = failed || streams[i].failed;
    }
    return !failed;
}

/* The source's process: says by `line` that its VRAM is there, is told to begin, and says how
 * it went before it gives its memory back. */
static int child(struct stream *streams, int count, const struct sockaddr_in *to, int line)
{
    unsigned char *vram = make_vram(streams[0].bytes, 1);
    char word = 0;

    for (int i = 0; i < count && vram != NULL; i++) {
        streams[i].vram = vram;
        streams[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (streams[i].fd < 0 ||
            connect(streams[i].fd, (const struct sockaddr *)to, sizeof *to) != 0)
            return 1;
    }
    if (vram == NULL || write(line, "", 1) != 1 || !receive_all(line, &word, 1))
        return 1;
    word = run(streams, count, source) ? 1 : 0;
    return write(line, &word, 1) == 1 && word == 1 ? 0 : 1;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 2;
    size_t chunk = argc > 2 ? (size_t)strtoull(argv[2], NULL, 10) : 1u << 20;
    uint64_t bytes = argc > 3 ? strtoull(argv[3], NULL, 10) : 2ull << 30;
    bool spoil = argc > 4 && strcmp(argv[4], "spoil") == 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    struct stream streams[MAX_STREAMS];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    unsigned char *vram;
    int line[2];
    double begin;
    char word = 0;
    pid_t pid;

    if (count < 1 || count > MAX_STREAMS || chunk == 0 || chunk % PAGE != 0 || bytes == 0 ||
        bytes % PAGE != 0 || listener < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, line) != 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, MAX_STREAMS) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        fprintf(stderr, "honest_limit [STREAMS [CHUNK [BYTES [spoil]]]], in whole pages: %s\n",
                strerror(errno));
        return 2;
    }
    for (int i = 0; i < count; i++)
        streams[i] = (struct stream){
            .index = i, .count = count, .bytes = bytes, .chunk = chunk, .spoil = spoil};
    pid = fork();
    if (pid < 0)
        return 1;
    if (pid == 0) {
        (void)close(line[0]);
        _exit(child(streams, count, &address, line[1]));
    }
    (void)close(line[1]);
    vram = make_vram(bytes, 0);
    if (vram == NULL || !receive_all(line[0], &word, 1)) {
        fprintf(stderr, "honest_limit: no memory or no connection for %" PRIu64 " bytes\n", bytes);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        /* In the order in which they were dialled, one after the other. */
        streams[i].fd = accept(listener, NULL, NULL);
        if (streams[i].fd < 0)
            return 1;
        streams[i].vram = vram;
    }
    begin = now();
    if (write(line[0], "", 1) != 1 || !run(streams, count, target) ||
        !receive_all(line[0], &word, 1) || word != 1) {
        fprintf(stderr, "honest_limit: a stream broke, or a page was not what was sent\n");
        return 1;
    }
    printf("{\"streams\": %d, \"chunk_bytes\": %zu, \"bytes\": %" PRIu64
           ", \"bytes_per_s\": %.0f}\n",
           count, chunk, bytes, (double)bytes / (now() - begin));
    (void)waitpid(pid, NULL, 0);
    return 0;
}
