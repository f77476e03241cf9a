// SPDX-License-Identifier: Apache-2.0
/* See pasts.h. */
#include "migrate/tests/rig/pasts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 20000

struct host host;
uint64_t next_id = 1;
const uint8_t past_token[WIRE_ID_BYTES] = {7, 7, 7};
int peer = -1;
char peer_address[64];

int past_setup(void **state)
{
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    host_start(&host, "left", SILENCE_NS, 0);
    if (tp_tcp_listen("127.0.0.1:0", &peer, peer_address, sizeof peer_address, &err) != 0)
        die("listen", &err);
    return 0;
}

int past_teardown(void **state)
{
    (void)state;
    host_stop(&host);
    (void)close(peer);
    return 0;
}

void open_again(void)
{
    struct mig_config config = {.host_name = "left",
                                .kernel_socket = host.socket,
                                .state_dir = host.dir,
                                .listen = host.address,
                                .silence_ns = SILENCE_NS};
    struct vf_error err = VF_ERROR_INIT;

    if (mig_open(&config, &host.mig, &err) != 0)
        die("mig_open", &err);
}

/* The daemon died with that in its journal about this partition, and comes back: the job as it sees
 * it now, which is the caller's to put. */
struct mig_job *come_back(const struct vf_partition_info *p, const struct past *past)
{
    struct journal_record record = {.side = past->side,
                                    .epoch = EPOCH,
                                    .owed = past->owed,
                                    .stays_paused = past->stays_paused,
                                    .runs = past->runs,
                                    .restart = past->restart};
    struct vf_error err = VF_ERROR_INIT;
    struct journal *journal;
    struct mig_job *job;

    mig_close(host.mig);
    assert_int_equal(journal_open(host.dir, &journal, &err), 0);
    record.id = journal_take_id(journal);
    assert_int_equal(record.id, next_id);
    next_id++;
    record.job[0] = (uint8_t)record.id;
    if (!past->no_token)
        memcpy(record.token, past_token, sizeof record.token);
    (void)snprintf(record.partition, sizeof record.partition, "%s", p->name);
    (void)snprintf(record.peer, sizeof record.peer, "%s", peer_address);
    (void)snprintf(record.text, sizeof record.text, "%s", past->text != NULL ? past->text : "");
    memcpy(record.uuid, p->uuid, sizeof record.uuid);
    for (size_t i = 0; i < past->count; i++) {
        record.kind = past->kinds[i];
        assert_int_equal(journal_write(journal, &record, &err), 0);
    }
    journal_close(journal);
    open_again();
    job = mig_job_get(host.mig, record.id);
    assert_non_null(job);
    assert_true(mig_job_wait(job, 0, UINT64_MAX));
    return job;
}

uint32_t state_of(const struct vf_partition_info *p)
{
    struct vf_partition_info now;

    return kc_partition_info(host.kc, p->id, &now, NULL) == 0 ? now.state : VF_PARTITION_STATES;
}

/* In the blackout of a move. */
void begin_move(struct vf_partition_info *p)
{
    struct vf_error err = VF_ERROR_INIT;

    create(&host, "p", VRAM, p);
    if (kc_prepare(host.kc, p->id, KC_SOURCE, next_id, &err) != 0 ||
        kc_partition_pause(host.kc, p->id, &err) != 0)
        die("begin", &err);
}

void drop(const struct vf_partition_info *p)
{
    struct vf_error err = VF_ERROR_INIT;

    if (kc_partition_destroy(host.kc, p->id, &err) != 0)
        die("destroy", &err);
}

enum mig_status status_of(struct mig_job *job)
{
    struct mig_progress progress;

    mig_job_progress(job, &progress);
    return progress.status;
}

/* The host comes with a word about this job. */
struct tp *take_call(const struct mig_job *job, struct wire_message *word)
{
    struct pollfd look = {.fd = peer, .events = POLLIN};
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp;
    int fd;

    assert_int_equal(poll(&look, 1, PATIENCE_MS), 1);
    fd = accept4(peer, NULL, NULL, SOCK_CLOEXEC);
    if (tp_from_fd(fd, "source", &tp, &err) != 0)
        die("accept", &err);
    hear(tp, WIRE_HELLO, &message);
    assert_memory_equal(message.hello.token, past_token, sizeof past_token);
    assert_memory_equal(message.hello.job, job->uuid, sizeof job->uuid);
    say(tp, &message); /* its own back: all that counts is there */
    wire_message_free(&message);
    if (wire_hear(tp, word, soon(), &err) != 0)
        die("word", &err);
    return tp;
}

void answer(struct mig_job *job, enum wire_tag due, const struct wire_message *with)
{
    struct wire_message word;
    struct tp *tp = take_call(job, &word);

    assert_int_equal(word.tag, due);
    if (due == WIRE_COMMIT)
        assert_true(handoff_same(job, &word.handoff));
    wire_message_free(&word);
    say(tp, with);
    if (with->tag == WIRE_RUNNING) {
        struct wire_message close_ = {.tag = WIRE_CLOSE};

        hear(tp, WIRE_DONE, &word);
        wire_message_free(&word);
        say(tp, &close_);
    }
    tp_close(tp);
}

struct tp *come_in(const struct mig_job *job, const uint8_t with[WIRE_ID_BYTES])
{
    struct wire_message message = {.tag = WIRE_HELLO};
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp;

    if (tp_tcp_connect(host.address, soon(), &tp, &err) != 0)
        die("connect", &err);
    wire_hello_init(&message.hello);
    memcpy(message.hello.job, job->uuid, sizeof job->uuid);
    memcpy(message.hello.token, with, WIRE_ID_BYTES);
    say(tp, &message);
    hear(tp, WIRE_HELLO, &message);
    wire_message_free(&message);
    return tp;
}

/* Says the word and hears the answer, which must be of that kind; for an ABORT *err is what
 * it says. */
void ask(const struct mig_job *job, const uint8_t with[WIRE_ID_BYTES],
         const struct wire_message *word, enum wire_tag due, struct wire_message *out)
{
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp = come_in(job, with);

    say(tp, word);
    if (wire_hear(tp, out, soon(), &err) != 0)
        die("answer", &err);
    if (out->tag != due)
        fail_msg("%s, not %s: %s", wire_tag_name(out->tag), wire_tag_name(due),
                 out->tag == WIRE_ABORT ? out->abort.text : "");
    if (due == WIRE_RUNNING) {
        struct wire_message done = {.tag = WIRE_DONE, .handoff = handoff_of(job)};

        say(tp, &done);
        hear(tp, WIRE_CLOSE, &done);
        wire_message_free(&done);
    }
    tp_close(tp);
}

struct wire_message commit_of(const struct mig_job *job)
{
    return (struct wire_message){.tag = WIRE_COMMIT, .handoff = handoff_of(job)};
}

const struct wire_message call_off = {.tag = WIRE_ABORT,
                                      .abort = {.code = VF_FAILED, .text = "it runs here"}};

struct mig_job *prepared(struct vf_partition_info *p, bool stays_paused)
{
    const struct past past = {
        MIG_TARGET, {JOURNAL_OPEN, JOURNAL_PREPARED}, 2, .stays_paused = stays_paused};
    struct mig_job *job;

    create_incoming(&host, next_id, p);
    make_ready(&host, p, EPOCH);
    job = come_back(p, &past);
    assert_int_equal(status_of(job), MIG_UNKNOWN);
    assert_int_equal(state_of(p), VF_PARTITION_READY);
    return job;
}
