// SPDX-License-Identifier: Apache-2.0
/*
 * vferry-kernel's call server over the tests' fake dxgk, and a client that means no good. Input:
 * for each call u16 op, u8 how, u8 padding in KiB, u16 length and so many bytes of body. After the
 * last one the client goes.
 */
#include "fuzz/directory.h"
#include "fuzz/fake_host.h"
#include "fuzz/target.h"
#include "kernel/wire.h"

#include "base/cleanup.h"
#include "base/unix_socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define HOW_RAW 1u      /* the body is the packet, no head */
#define HOW_LIE 2u      /* the head's length comes from the body's first four bytes */
#define HOW_NO_HELLO 4u /* of the first call: say no hello before it */
#define PIECE_BYTES 6u

struct link {
    struct fake_host host;
    int client;
};

static int dial(const char *directory)
{
    struct sockaddr_un address;
    char path[96];
    int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int dir_fd;

    (void)snprintf(path, sizeof path, "%s/%s", directory, KS_SOCKET_NAME);
    fuzz_must(client >= 0 && vf_socket_address(path, &address, &dir_fd) == 0 && dir_fd == -1);
    fuzz_must(connect(client, (const struct sockaddr *)&address, sizeof address) == 0);
    return client;
}

/* Reads what is there; false once the server has closed. */
static bool drain(int client)
{
    static uint8_t waste[KCALL_PACKET_BODY + sizeof(struct kcall_head)];
    ssize_t got = recv(client, waste, sizeof waste, MSG_DONTWAIT | MSG_TRUNC);

    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Reads until the server has closed this connection. One that asked for the end stays open until
 * that has come. */
static void await_close(const struct link *link)
{
    struct pollfd wait[2] = {{.fd = link->client, .events = POLLIN},
                             {.fd = link->host.ended, .events = POLLIN}};

    do {
        fuzz_must(TEMP_FAILURE_RETRY(poll(wait, 2, 60000)) >
                  0); /* else the server hangs over this client */
        if (wait[1].revents != 0)
            return;
    } while (drain(link->client));
}

/* Never blocks in send: the server may wait for room for its replies. */
static bool send_packet(const struct link *link, const void *data, size_t bytes)
{
    for (;;) {
        struct pollfd wait[2] = {{.fd = link->client, .events = POLLIN | POLLOUT},
                                 {.fd = link->host.ended, .events = POLLIN}};

        fuzz_must(TEMP_FAILURE_RETRY(poll(wait, 2, 60000)) > 0);
        if (wait[1].revents != 0)
            return false;
        if ((wait[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !drain(link->client))
            return false;
        if ((wait[0].revents & POLLOUT) == 0)
            continue;
        if (send(link->client, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return true;
        if (errno != EAGAIN && errno != EINTR)
            return false;
    }
}

static bool send_call(const struct link *link, uint32_t op, const uint8_t *body, size_t bytes,
                      uint32_t announced)
{
    struct kcall_head head = {
        .magic = KCALL_MAGIC_CALL, .op = op, .tag = 1, .body_bytes = announced};
    size_t part = bytes < KCALL_PACKET_BODY ? bytes : KCALL_PACKET_BODY;
    uint8_t *packet = malloc(sizeof head + part);
    bool sent;

    fuzz_must(packet != NULL);
    memcpy(packet, &head, sizeof head);
    memcpy(packet + sizeof head, body, part);
    sent = send_packet(link, packet, sizeof head + part);
    free(packet);
    for (size_t at = part; sent && at < bytes; at += part) {
        part = bytes - at < KCALL_PACKET_BODY ? bytes - at : KCALL_PACKET_BODY;
        sent = send_packet(link, body + at, part);
    }
    return sent;
}

/* An empty packet would read as the end of the stream. */
static bool send_piece(const struct link *link, struct fuzz_input *in)
{
    uint32_t op = (uint32_t)fuzz_number(in, 2);
    uint32_t how = (uint32_t)fuzz_number(in, 1);
    size_t padding = fuzz_number(in, 1) << 10;
    size_t bytes = fuzz_number(in, 2);
    cleanup_free uint8_t *body = NULL;
    uint32_t announced;

    bytes = bytes < in->left ? bytes : in->left;
    if (how & HOW_RAW)
        return bytes == 0 || send_packet(link, fuzz_take(in, bytes), bytes);
    body = calloc(1, bytes + padding + 4);
    fuzz_must(body != NULL);
    memcpy(body, fuzz_take(in, bytes), bytes);
    announced = (uint32_t)(bytes + padding);
    if (how & HOW_LIE)
        memcpy(&announced, body, sizeof announced);
    return send_call(link, op, body, bytes + padding, announced);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const files[] = {KS_LOCK_NAME, NULL};
    const char *directory = fuzz_directory(files);
    const struct kcall_hello hello = {KCALL_VERSION, KCALL_VERSION};
    struct fuzz_input in = {data, size};
    struct link link;
    bool open = true;

    fake_host_start(&link.host, directory);
    link.client = dial(directory);
    if (size < 3 || (data[2] & HOW_NO_HELLO) == 0)
        open = send_call(&link, KCALL_HELLO, (const uint8_t *)&hello, sizeof hello, sizeof hello);
    while (open && in.left >= PIECE_BYTES)
        open = send_piece(&link, &in);
    (void)shutdown(link.client, SHUT_WR);
    await_close(&link);
    (void)close(link.client);
    fake_host_end(&link.host);
    return 0;
}

static size_t put_call(uint8_t *to, uint32_t op, const void *args, size_t args_bytes,
                       const void *tail, size_t tail_bytes)
{
    size_t bytes = args_bytes + tail_bytes;

    to[0] = (uint8_t)op;
    to[1] = (uint8_t)(op >> 8);
    to[2] = to[3] = 0;
    to[4] = (uint8_t)bytes;
    to[5] = (uint8_t)(bytes >> 8);
    memcpy(to + PIECE_BYTES, args, args_bytes);
    if (tail_bytes > 0)
        memcpy(to + PIECE_BYTES + args_bytes, tail, tail_bytes);
    return PIECE_BYTES + bytes;
}

static size_t put_create(uint8_t *to, bool incoming)
{
    struct kcall_create create = {.params = {.name = "p", .vram_bytes = 1u << 20},
                                  .incoming = incoming};

    return put_call(to, KCALL_PARTITION_CREATE, &create, sizeof create, NULL, 0);
}

/* Calls that take a partition alone. */
static size_t put_plain(uint8_t *to, uint32_t op)
{
    return put_call(to, op, &(struct kcall_partition){1}, sizeof(struct kcall_partition), NULL, 0);
}

static size_t put_source(uint8_t *to)
{
    static const uint32_t before[] = {KCALL_PARTITION_INFO, KCALL_PARTITION_PARAMS,
                                      KCALL_PARTITION_CLOCK, KCALL_PARTITION_LIST, KCALL_HOST};
    static const uint32_t after[] = {
        KCALL_SAVE_IMMUTABLE,  KCALL_SAVE_MUTABLE,     KCALL_END,
        KCALL_PARTITION_PAUSE, KCALL_PARTITION_RESUME, KCALL_PARTITION_DESTROY};
    struct kcall_bar bar = {.id = 1, .bar = FAKE_VRAM_BAR, .offset = 4096, .bytes = 4};
    struct kcall_query_dirty query = {1, 1024};
    size_t used = put_create(to, false);

    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++)
        used += put_plain(to + used, before[i]);
    used += put_call(to + used, KCALL_PARTITION_FIND, &(struct kcall_find){"p"},
                     sizeof(struct kcall_find), NULL, 0);
    used += put_call(to + used, KCALL_PARTITION_SET_EPOCH, &(struct kcall_epoch){1, 7},
                     sizeof(struct kcall_epoch), NULL, 0);
    used += put_call(to + used, KCALL_BAR_WRITE, &bar, sizeof bar, "data", 4);
    used += put_call(to + used, KCALL_BAR_READ, &bar, sizeof bar, NULL, 0);
    used += put_call(to + used, KCALL_PREPARE, &(struct kcall_prepare){.id = 1, .job = 5},
                     sizeof(struct kcall_prepare), NULL, 0);
    used += put_call(to + used, KCALL_THROTTLE, &(struct kcall_throttle){.id = 1, .percent = 50},
                     sizeof(struct kcall_throttle), NULL, 0);
    used += put_call(to + used, KCALL_SAMPLE_DIRTY, &query, sizeof query, NULL, 0);
    used += put_call(to + used, KCALL_QUERY_DIRTY, &query, sizeof query, NULL, 0);
    for (size_t i = 0; i < sizeof after / sizeof after[0]; i++)
        used += put_plain(to + used, after[i]);
    return used;
}

static size_t put_target(uint8_t *to)
{
    struct kcall_prepare prepare = {.id = 1, .job = 5, .side = KC_TARGET};
    struct kcall_blobs blobs = {.id = 1, .kmd_bytes = 4, .umed_bytes = 3};
    size_t used = put_create(to, true);

    used += put_call(to + used, KCALL_PREPARE, &prepare, sizeof prepare, NULL, 0);
    used += put_call(to + used, KCALL_RESTORE_IMMUTABLE, &blobs, sizeof blobs, "kkkkuuu", 7);
    used += put_call(to + used, KCALL_RESTORE_MUTABLE, &blobs, sizeof blobs, "kkkkuuu", 7);
    return used + put_plain(to + used, KCALL_END);
}

static size_t put_channel(uint8_t *to)
{
    static const uint64_t pages[2] = {3, 9};
    struct kcall_channel_open open = {.id = 1, .slot_bytes = 8192, .slots = 2};
    size_t used = put_create(to, true);

    used += put_call(to + used, KCALL_CHANNEL_OPEN, &open, sizeof open, NULL, 0);
    for (uint32_t i = 0; i < 4; i++) {
        struct kcall_submit submit = {.transfer = i % 3, .slot = i % 2, .count = 2};

        used += put_call(to + used, KCALL_SUBMIT, &submit, sizeof submit, pages, sizeof pages);
    }
    return used;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    struct kcall_events events = {.capacity = 16};

    switch (index) {
    case 0:
        return put_source(data);
    case 1:
        return put_target(data);
    case 2:
        return put_channel(data);
    case 3: {
        size_t used = put_call(data, KCALL_EVENTS, &events, sizeof events, NULL, 0);

        used += put_call(data + used, KCALL_ADAPTER_INFO, &(struct kcall_adapter){1, 0},
                         sizeof(struct kcall_adapter), NULL, 0);
        return used + put_call(data + used, KCALL_SHUTDOWN, &(struct kcall_shutdown){1, 0},
                               sizeof(struct kcall_shutdown), NULL, 0);
    }
    default:
        return 0;
    }
}
