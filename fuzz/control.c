// SPDX-License-Identifier: Apache-2.0
/*
 * vferryd's control socket, with all its verbs, over a kernel side in this process; no network.
 * Input: u8 flags (1 = a file comes along), then what a client sends. It reads every reply;
 * then it goes.
 */
#include "fuzz/directory.h"
#include "fuzz/fake_host.h"
#include "fuzz/target.h"

#include "base/unix_socket.h"
#include "daemon/control/control.h"
#include "daemon/control/protocol.h"
#include "daemon/verbs/verbs.h"
#include "transport/transport.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define WITH_FILE 1u

static const char *const files[] = {KS_LOCK_NAME, "journal", CTL_SOCKET_NAME, NULL};

/* Linked in the place of the real one: an input's addresses reach nobody. */
int __wrap_mig_dial(struct mig *mig, const char *address, uint64_t deadline_ns, struct tp **out,
                    struct vf_error *err);
int __wrap_mig_dial(struct mig *mig, const char *address, uint64_t deadline_ns, struct tp **out,
                    struct vf_error *err)
{
    (void)mig;
    (void)deadline_ns;
    *out = NULL;
    return vf_fail(err, VF_FAILED, "peer %s: not reachable", address);
}

void daemon_stop(struct daemon *daemon)
{
    atomic_store(&daemon->stop, true);
}

static void open_daemon(struct daemon *daemon, struct control **control, const char *directory)
{
    struct mig_config mig = {.host_name = "fuzz",
                             .kernel_socket = daemon->kernel_socket,
                             .state_dir = directory,
                             .listen = "",
                             .event = events_mig,
                             .event_ctx = &daemon->events};
    struct vf_error err = VF_ERROR_INIT;
    char journal[96];

    (void)snprintf(journal, sizeof journal, "%s/journal", directory);
    (void)unlink(journal);
    (void)snprintf(daemon->name, sizeof daemon->name, "fuzz");
    (void)snprintf(daemon->state_dir, sizeof daemon->state_dir, "%s", directory);
    (void)snprintf(daemon->kernel_socket, sizeof daemon->kernel_socket, "%s/%s", directory,
                   KS_SOCKET_NAME);
    daemon->kernel_pidfd = eventfd(1, EFD_CLOEXEC); /* "ended": host stop waits for it */
    fuzz_must(daemon->kernel_pidfd >= 0 && events_init(&daemon->events) == 0);
    fuzz_must(mig_open(&mig, &daemon->mig, &err) == 0);
    fuzz_must(control_open(daemon, verb_find, control, &err) == 0);
}

static void cancel_jobs(struct mig *mig)
{
    json_t *list = mig_jobs(mig);
    json_t *entry;
    size_t i;

    json_array_foreach(list, i, entry)
    {
        struct mig_job *job =
            mig_job_get(mig, (uint64_t)json_integer_value(json_object_get(entry, "job")));

        if (job != NULL)
            (void)mig_job_cancel(job, NULL);
        mig_job_put(job);
    }
    json_decref(list);
}

static int dial(const char *directory)
{
    struct sockaddr_un address;
    char path[128];
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int dir_fd;

    (void)snprintf(path, sizeof path, "%s/%s", directory, CTL_SOCKET_NAME);
    fuzz_must(client >= 0 && vf_socket_address(path, &address, &dir_fd) == 0 && dir_fd == -1);
    fuzz_must(connect(client, (const struct sockaddr *)&address, sizeof address) == 0);
    return client;
}

/* Every reply is one line of JSON. */
struct replies {
    char *data;
    size_t bytes;
};

static void take_lines(struct replies *replies)
{
    char *end;

    while ((end = memchr(replies->data, '\n', replies->bytes)) != NULL) {
        size_t line = (size_t)(end - replies->data);
        json_t *reply = json_loadb(replies->data, line, 0, NULL);

        fuzz_must(json_is_object(reply));
        fuzz_must(json_object_get(reply, "result") != NULL ||
                  json_object_get(reply, "error") != NULL ||
                  json_object_get(reply, "progress") != NULL);
        json_decref(reply);
        replies->bytes -= line + 1;
        memmove(replies->data, end + 1, replies->bytes);
    }
}

/* False once the daemon has closed. */
static bool receive(int client, struct replies *replies)
{
    ssize_t got;

    replies->data = realloc(replies->data, replies->bytes + 4096);
    fuzz_must(replies->data != NULL);
    got = recv(client, replies->data + replies->bytes, 4096, 0);
    if (got > 0) {
        replies->bytes += (size_t)got;
        take_lines(replies);
    }
    return got > 0 || (got < 0 && errno == EAGAIN);
}

static ssize_t send_some(int client, const uint8_t *data, size_t bytes, int *file)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)(uintptr_t)data, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;

    if (*file >= 0) {
        struct cmsghdr *head;

        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        head = CMSG_FIRSTHDR(&message);
        *head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(head), file, sizeof(int));
    }
    sent = sendmsg(client, &message, MSG_NOSIGNAL);
    if (sent > 0 && *file >= 0) {
        (void)close(*file);
        *file = -1;
    }
    return sent;
}

/* Sends all, then half-closes, reading all the while, until the daemon has closed. A host stop is
 * answered once the kernel side is gone. */
static void converse(int client, struct fake_host *host, const uint8_t *data, size_t bytes,
                     int file)
{
    struct replies replies = {malloc(1), 0};
    bool open = true;

    while (open) {
        struct pollfd wait[2] = {{.fd = client, .events = POLLIN},
                                 {.fd = host->ended, .events = POLLIN}};
        ssize_t sent;

        if (bytes > 0)
            wait[0].events |= POLLOUT;
        fuzz_must(TEMP_FAILURE_RETRY(poll(wait, 2, 60000)) >
                  0); /* else the daemon hangs over this client */
        if (wait[1].revents != 0)
            fake_host_end(host);
        if ((wait[0].revents & POLLOUT) != 0) {
            sent = send_some(client, data, bytes, &file);
            data += sent > 0 ? sent : 0;
            bytes -= sent > 0 ? (size_t)sent : 0;
            if (sent < 0 && errno != EAGAIN)
                bytes = 0;
            if (bytes == 0)
                (void)shutdown(client, SHUT_WR);
        }
        if ((wait[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
            open = receive(client, &replies);
    }
    if (file >= 0)
        (void)close(file);
    free(replies.data);
}

static int make_file(void)
{
    static const char picture[] = "P5\n2 2\n255\nabcd";
    int file = memfd_create("input", MFD_CLOEXEC);

    fuzz_must(file >= 0 && write(file, picture, sizeof picture - 1) == sizeof picture - 1);
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *directory = fuzz_directory(files);
    struct fuzz_input in = {data, size};
    uint64_t flags = fuzz_number(&in, 1);
    static struct daemon daemon;
    struct control *control;
    struct fake_host host;
    int client;

    if (in.left == 0)
        return 0; /* a client that says nothing at all */
    memset(&daemon, 0, sizeof daemon);
    fake_host_start(&host, directory);
    open_daemon(&daemon, &control, directory);
    client = dial(directory);
    control_accept(control);
    converse(client, &host, in.at, in.left, flags & WITH_FILE ? make_file() : -1);
    (void)close(client);
    atomic_store(&daemon.stop, true);
    cancel_jobs(daemon.mig);
    control_close(control);
    mig_close(daemon.mig);
    events_fini(&daemon.events);
    (void)close(daemon.kernel_pidfd);
    fake_host_end(&host);
    return 0;
}

/* Texts longer than anything in the daemon holds: one argument of one verb each. */
static size_t put_long_texts(uint8_t *data, unsigned index)
{
    static const char *const formats[] = {
        "{\"verb\":\"partition create\",\"args\":{\"name\":\"%s\",\"adapter\":0,\"vram\":65536}}\n",
        "{\"verb\":\"migrate\",\"args\":{\"name\":\"p\",\"to\":\"%s\"}}\n",
        "{\"verb\":\"run\",\"args\":{\"name\":\"p\",\"workload\":\"%s\"}}\n",
        "{\"verb\":\"%s\"}\n",
    };
    char text[5000];

    if (index >= sizeof formats / sizeof formats[0])
        return 0;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    data[0] = 0;
    return 1 + (size_t)snprintf((char *)data + 1, FUZZ_MAX_BYTES - 1, formats[index], text);
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const char *const texts[] = {
        "{\"verb\":\"partition create\",\"args\":{\"name\":\"p\",\"adapter\":0,\"vram\":1048576}}\n"
        "{\"verb\":\"partition show\",\"args\":{\"name\":\"p\"}}\n"
        "{\"verb\":\"partition pause\",\"args\":{\"name\":\"p\"}}\n"
        "{\"verb\":\"partition resume\",\"args\":{\"name\":\"p\"}}\n"
        "{\"verb\":\"partition list\"}\n"
        "{\"verb\":\"partition remove\",\"args\":{\"name\":\"p\"}}\n",
        "{\"verb\":\"partition create\",\"args\":{\"name\":\"p\",\"adapter\":0,\"vram\":1048576}}\n"
        "{\"verb\":\"migrate\",\"args\":{\"name\":\"p\",\"to\":\"127.0.0.1:1\",\"streams\":2,"
        "\"max_blackout_ms\":100,\"max_time_s\":1,\"bandwidth\":1000,\"verify\":\"full\"}}\n"
        "{\"verb\":\"job watch\",\"args\":{\"job\":1}}\n"
        "{\"verb\":\"job list\"}\n{\"verb\":\"job show\",\"args\":{\"job\":1}}\n"
        "{\"verb\":\"job cancel\",\"args\":{\"job\":1}}\n"
        "{\"verb\":\"check\",\"args\":{\"name\":\"p\",\"to\":\"127.0.0.1:1\"}}\n",
        "{\"verb\":\"run\",\"args\":{\"name\":\"p\",\"workload\":\"fill\",\"options\":{\"size\":"
        "\"4096\",\"seed\":\"1\"}}}\n{\"verb\":\"wait\",\"args\":{\"name\":\"p\",\"timeout_s\":0}}"
        "\n"
        "{\"verb\":\"read\",\"args\":{\"name\":\"p\"}}\n",
        "{\"verb\":\"host show\"}\n{\"verb\":\"adapter list\"}\n"
        "{\"verb\":\"adapter show\",\"args\":{\"adapter\":1}}\n"
        "{\"verb\":\"driver show\",\"args\":{\"adapter\":0}}\n"
        "{\"verb\":\"events\",\"args\":{\"follow\":false}}\n"
        "{\"verb\":\"host stop\",\"args\":{\"force\":true}}\n",
        "[1,2]\nnull\n{\"verb\":7}\n{\"verb\":\"no such\"}\n\n{\n",
    };
    const unsigned count = sizeof texts / sizeof texts[0];

    if (index >= count)
        return put_long_texts(data, index - count);
    data[0] = index == 2 ? WITH_FILE : 0;
    memcpy(data + 1, texts[index], strlen(texts[index]));
    return 1 + strlen(texts[index]);
}
