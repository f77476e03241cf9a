// SPDX-License-Identifier: Apache-2.0
/* A regular file as a stream: what is sent is written, what is received is read, from an offset of
 * the stream's own. */
#include "transport/transport.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct file_stream {
    struct tp tp; /* first: ops get its address */
    int fd;
    uint64_t offset; /* the descriptor's own may be shared with the process that opened it */
    tp_seen *seen;
    void *ctx;
};

static struct file_stream *stream_of(struct tp *tp)
{
    return (struct file_stream *)tp;
}

/* The first `bytes` of what lies in iov have moved. */
static void moved(struct file_stream *stream, const struct iovec *iov, size_t bytes)
{
    stream->offset += bytes;
    for (; stream->seen != NULL && bytes > 0; iov++) {
        const size_t part = bytes < iov->iov_len ? bytes : iov->iov_len;

        stream->seen(stream->ctx, iov->iov_base, part);
        bytes -= part;
    }
}

/* A file takes what it takes at once: 0 would mean "wait until it is writable", which it
 * always is. */
static long file_send(struct tp *tp, const struct iovec *iov, int count)
{
    struct file_stream *stream = stream_of(tp);
    const ssize_t done = pwritev(stream->fd, iov, count, (off_t)stream->offset);

    if (done < 0)
        return -errno;
    if (done == 0)
        return -ENOSPC;
    moved(stream, iov, (size_t)done);
    return done;
}

static long file_recv(struct tp *tp, void *data, size_t bytes)
{
    struct file_stream *stream = stream_of(tp);
    const ssize_t done = pread(stream->fd, data, bytes, (off_t)stream->offset);

    if (done < 0)
        return -errno;
    moved(stream, &(struct iovec){data, bytes}, (size_t)done);
    return done;
}

static int file_fd(const struct tp *tp)
{
    return ((const struct file_stream *)tp)->fd;
}

static void file_shutdown(struct tp *tp)
{
    (void)tp; /* nobody waits in a file: tp_abort's flag is looked at before every step */
}

static void file_close(struct tp *tp)
{
    (void)close(stream_of(tp)->fd);
    tp_fini(tp);
    free(tp); /* the start of its file_stream */
}

static const struct tp_ops file_ops = {
    .name = "file",
    .send = file_send,
    .recv = file_recv,
    .fd = file_fd,
    .shutdown = file_shutdown,
    .close = file_close,
};

int tp_file(int fd, const char *name, tp_seen *seen, void *ctx, struct tp **out,
            struct vf_error *err)
{
    cleanup_close int owned = fd;
    struct file_stream *stream;
    struct stat info;

    *out = NULL;
    if (fstat(owned, &info) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "file %s", name);
    if (!S_ISREG(info.st_mode))
        return vf_fail(err, VF_USAGE, "file %s: is no regular file; give one", name);
    stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return vf_fail(err, VF_FAILED, "file %s: " VF_NO_MEMORY, name);
    if (tp_init(&stream->tp, &file_ops, name, err) != 0) {
        free(stream);
        return -1;
    }
    stream->fd = vf_take_fd(&owned);
    stream->seen = seen;
    stream->ctx = ctx;
    *out = &stream->tp;
    return 0;
}

uint64_t tp_file_offset(const struct tp *tp)
{
    return ((const struct file_stream *)tp)->offset;
}

void tp_file_seek(struct tp *tp, uint64_t offset)
{
    stream_of(tp)->offset = offset;
}
