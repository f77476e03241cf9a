// SPDX-License-Identifier: Apache-2.0
/*
 * vferry-umed FILE.so [PARTITION]: holds one partition's user-mode emulation DLL in a process
 * of its own. Started by vferry-kernel with a socket as descriptor 3; serves one call at a
 * time (call.h) and ends with the socket. It shuts itself in before the first of the DLL's
 * functions is called.
 */
#include "dxgk/worker/worker.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Longer than the kernel side waits (umed/worker.h): for a call that hangs after that side died. */
#define CALL_SECONDS 10u

enum { END_OK = 0, END_USAGE = 2, END_CALL = 3, END_SANDBOX = 4 };

static uint8_t body[UMED_CALL_MAX_BODY];

/* 1 = all of it, 0 = the other side has closed, -1 = error. */
static int receive(void *data, size_t bytes)
{
    uint8_t *at = data;

    while (bytes > 0) {
        ssize_t got = recv(UMED_CALL_FD, at, bytes, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return (int)got;
        at += got;
        bytes -= (size_t)got;
    }
    return 1;
}

static int transmit(const void *data, size_t bytes)
{
    const uint8_t *at = data;

    while (bytes > 0) {
        ssize_t sent = send(UMED_CALL_FD, at, bytes, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -1;
        at += sent;
        bytes -= (size_t)sent;
    }
    return 0;
}

static int answer(const struct umed_head *call, HRESULT result, uint32_t breach, const void *data,
                  uint32_t bytes)
{
    struct umed_head head = {
        UMED_CALL_MAGIC, UMED_CALL_VERSION, call->op, call->sequence, bytes, result, breach};

    return transmit(&head, sizeof head) == 0 && transmit(data, bytes) == 0 ? 0 : -1;
}

/* The failed step's name goes back as the body, for a clear error over there. */
static int create(struct object *object, const struct umed_head *call)
{
    struct umed_created created = {0};
    struct umed_create args;
    const char *what = "";
    HRESULT result;

    memcpy(&args, body, sizeof args);
    result = object_create(object, &args, &what);
    if (FAILED(result)) {
        object_release(object);
        return answer(call, result, UMED_KEPT, what, (uint32_t)strlen(what));
    }
    created.interfaces = (object->migration != NULL ? UMED_HAS_MIGRATION : 0) |
                         (object->mitigation != NULL ? UMED_HAS_MITIGATION : 0);
    return answer(call, S_OK, UMED_KEPT, &created, sizeof created);
}

static int answer_record(const struct umed_head *call, HRESULT result, struct record *record)
{
    int sent =
        answer(call, result, record->breach, record->data, result == S_OK ? record->bytes : 0);

    free(record->data);
    return sent;
}

static int access_page(struct object *object, const struct umed_head *call)
{
    struct umed_access access;
    struct record record = {0};
    uint8_t value[8] = {0};
    HRESULT result;

    memcpy(&access, body, sizeof access);
    if ((access.length != 4 && access.length != 8) || access.bar > BAR5 || access.save > 1)
        return -1;
    if (call->op == UMED_READ) {
        result = object_read(object, &access, value);
        return answer(call, result, UMED_KEPT, value, result == S_OK ? access.length : 0);
    }
    result = object_write(object, &access);
    /* A store whose state cannot be kept counts as done: the kernel side says so. */
    if (result == S_OK && access.save == 1 && object_save(object, &record) != S_OK)
        return answer(call, S_OK, record.breach, NULL, 0);
    return answer_record(call, result, &record);
}

/* -1: the call cannot be, or the answer cannot go out. */
static int dispatch(struct object *object, const struct umed_head *call)
{
    struct record record = {0};
    uint32_t power;

    switch (call->op) {
    case UMED_SAVE_IMMUTABLE:
        return answer_record(call, object_save_immutable(object, &record), &record);
    case UMED_SAVE:
        return answer_record(call, object_save(object, &record), &record);
    case UMED_RESTORE_IMMUTABLE:
        return answer(call, object_restore_immutable(object, body, call->bytes), UMED_KEPT, NULL,
                      0);
    case UMED_RESTORE:
        return answer(call, object_restore(object, body, call->bytes), UMED_KEPT, NULL, 0);
    case UMED_READ:
    case UMED_WRITE:
        return access_page(object, call);
    case UMED_POWER:
        memcpy(&power, body, sizeof power);
        return answer(call, object_power(object, power), UMED_KEPT, NULL, 0);
    default:
        return -1;
    }
}

/* The body's length is the op's to say. */
static bool length_good(const struct umed_head *call)
{
    switch (call->op) {
    case UMED_CREATE:
        return call->bytes == sizeof(struct umed_create);
    case UMED_SAVE_IMMUTABLE:
    case UMED_SAVE:
        return call->bytes == 0;
    case UMED_RESTORE_IMMUTABLE:
    case UMED_RESTORE:
        return call->bytes > 0 && call->bytes <= UMED_CALL_MAX_BLOB;
    case UMED_READ:
    case UMED_WRITE:
        return call->bytes == sizeof(struct umed_access);
    case UMED_POWER:
        return call->bytes == sizeof(uint32_t);
    default:
        return false;
    }
}

static int serve(struct object *object)
{
    uint32_t sequence = 0;

    for (;;) {
        struct umed_head call;
        int got = receive(&call, sizeof call);
        int done;

        if (got <= 0)
            return got == 0 ? END_OK : END_CALL;
        /* Created first and once: an object is there exactly for the other calls. */
        if (call.magic != UMED_CALL_MAGIC || call.version != UMED_CALL_VERSION ||
            call.sequence != ++sequence || !length_good(&call) ||
            (call.op == UMED_CREATE) != (object->unknown == NULL) || receive(body, call.bytes) <= 0)
            return END_CALL;
        (void)alarm(CALL_SECONDS);
        done = call.op == UMED_CREATE ? create(object, &call) : dispatch(object, &call);
        (void)alarm(0);
        if (done != 0)
            return END_CALL;
    }
}

int main(int argc, char **argv)
{
    struct object object = {0};
    void *dll;
    int end;

    if (argc < 2 || argc > 3 || argv[1][0] != '/') {
        (void)fputs("vferry-umed FILE.so [PARTITION]: started by vferry-kernel\n", stderr);
        return END_USAGE;
    }
    (void)prctl(PR_SET_NAME, "vferry-umed");
    dll = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (dll == NULL) {
        (void)fprintf(stderr, "vferry-umed: cannot load the UMED: %s\n", dlerror());
        return END_USAGE;
    }
    *(void **)&object.get_class = dlsym(dll, "DllGetClassObject");
    if (object.get_class == NULL) {
        (void)fprintf(stderr, "vferry-umed: %s exports no DllGetClassObject\n", argv[1]);
        return END_USAGE;
    }
    if (sandbox_enter() != 0) {
        perror("vferry-umed: cannot shut itself in");
        return END_SANDBOX;
    }
    end = serve(&object);
    object_release(&object);
    _exit(end); /* nothing else is to be done: what exit() runs may need what is forbidden now */
}
