// SPDX-License-Identifier: Apache-2.0
/* The history's thread: takes what waits, writes it, and copes with a disk that does not.
 * See history.h. */
#define LOG_ROOM "history"
#include "daemon/history/private.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1000000000ull
#define TRIM_NS (3600 * SECOND_NS) /* by age, also when nothing happens */
#define TRIM_EVERY 64u             /* entries that were written */
#define RETRY_NS SECOND_NS         /* after a failure; twice as long each time, up to */
#define RETRY_MAX_NS (30 * SECOND_NS)
#define TELL_NS (60 * SECOND_NS) /* a disk that fails and works in turns is told once a minute */

void history_free_list(struct store_entry *list)
{
    while (list != NULL) {
        struct store_entry *next = list->next;

        json_decref(list->report);
        free(list);
        list = next;
    }
}

int history_stand(struct history *history, struct vf_error *err)
{
    if (history->store != NULL && !store_damaged(history->store) && store_stands(history->store))
        return 0;
    store_close(history->store);
    history->store = NULL;
    if (store_open(history->directory, &history->store, err) != 0)
        return -1;
    if (store_last_event(history->store) <= history->last_event)
        return 0;
    store_close(history->store);
    history->store = NULL;
    return vf_fail(err, VF_FAILED,
                   "%s/" HISTORY_FILE ": was not there when vferryd started" VF_REMEDY
                   "restart vferryd to go on with it",
                   history->directory);
}

/* All that waits, once there is something to do: write, try again, trim, end. */
static struct store_entry *take(struct history *history, char *kernel_side, bool *closing)
{
    struct store_entry *batch;

    vf_lock(&history->service.lock);
    while (!history->service.ending && !history->look) {
        uint64_t until_ns = history->trim_ns;

        if (history->waiting > 0 || history->ailing)
            until_ns = history->retry_ns;
        if (until_ns <= vf_now_ns())
            break;
        (void)vf_cond_wait_until(&history->service.wake, &history->service.lock, until_ns);
    }
    batch = history->first;
    history->first = NULL;
    history->end = &history->first;
    memcpy(kernel_side, history->kernel_side, sizeof history->kernel_side);
    history->look = false;
    *closing = history->service.ending;
    vf_unlock(&history->service.lock);
    return batch;
}

/* Portions, with the disk let go in between, until the limits are kept. There is a file: it was
 * written to just now. */
static int trim(struct history *history, struct vf_error *err)
{
    bool more = true;
    int result = 0;

    while (more && result == 0) {
        vf_lock(&history->disk);
        result = store_trim(history->store, &history->limits, vf_realtime_ns(), &more, err);
        vf_unlock(&history->disk);
        vf_lock(&history->service.lock);
        more = more && !history->service.ending;
        vf_unlock(&history->service.lock);
    }
    history->trim_ns = vf_now_ns() + TRIM_NS;
    history->written = 0;
    return result;
}

static int write_batch(struct history *history, const struct store_entry *batch,
                       const char *kernel_side, struct vf_error *err)
{
    int result;

    vf_lock(&history->disk);
    result = history_stand(history, err);
    if (result == 0 && batch != NULL)
        result = store_write(history->store, batch, kernel_side, err);
    /* What the damage cost is lost; what comes now goes into a new file. */
    if (result != 0 && history->store != NULL && store_damaged(history->store)) {
        result = history_stand(history, err);
        if (result == 0 && batch != NULL)
            result = store_write(history->store, batch, kernel_side, err);
    }
    vf_unlock(&history->disk);
    return result;
}

static size_t length(const struct store_entry *list)
{
    size_t count = 0;

    for (; list != NULL; list = list->next)
        count++;
    return count;
}

/* It was written. Returns how many entries were dropped before, if that is to be told now. */
static uint64_t gone_well(struct history *history, struct store_entry *batch, bool *was_ailing)
{
    size_t count = length(batch);
    uint64_t dropped = 0;

    history_free_list(batch);
    history->written += (unsigned)count;
    history->wait_ns = 0;
    vf_lock(&history->service.lock);
    *was_ailing = history->ailing;
    history->ailing = false;
    history->retry_ns = 0;
    history->waiting -= count;
    history->done += count;
    if (history->dropped > 0 &&
        (*was_ailing || history->told_ns == 0 || vf_now_ns() - history->told_ns > TELL_NS)) {
        dropped = history->dropped;
        history->dropped = 0;
    }
    vf_cond_broadcast(&history->handled);
    vf_unlock(&history->service.lock);
    return dropped;
}

/* It waits in front of what came since. */
static void gone_wrong(struct history *history, struct store_entry *batch)
{
    struct store_entry **end = &batch;

    while (*end != NULL)
        end = &(*end)->next;
    history->wait_ns = history->wait_ns == 0 ? RETRY_NS : 2 * history->wait_ns;
    if (history->wait_ns > RETRY_MAX_NS)
        history->wait_ns = RETRY_MAX_NS;
    vf_lock(&history->service.lock);
    *end = history->first;
    if (history->first == NULL)
        history->end = end == &batch ? &history->first : end;
    history->first = batch;
    history->ailing = true;
    history->retry_ns = vf_now_ns() + history->wait_ns;
    vf_cond_broadcast(&history->handled);
    vf_unlock(&history->service.lock);
}

bool history_may_tell(struct history *history)
{
    uint64_t now = vf_now_ns();

    if (history->told_ns != 0 && now - history->told_ns < TELL_NS)
        return false;
    history->told_ns = now;
    history->told = true;
    return true;
}

static void tell_dropped(struct history *history, uint64_t dropped)
{
    history->told_ns = vf_now_ns();
    log_warn("%" PRIu64 " entries of the history were dropped: its disk did not keep up", dropped);
}

/* Who heard that it fails hears that it works. */
static void tell_again(struct history *history, uint64_t dropped)
{
    if (dropped > 0)
        tell_dropped(history, dropped);
    if (history->told)
        log_info("the history is kept again");
    history->told = false;
}

/* False when it is over. */
static bool turn(struct history *history)
{
    char kernel_side[sizeof history->kernel_side];
    struct vf_error err = VF_ERROR_INIT;
    bool closing;
    bool was_ailing = false;
    struct store_entry *batch = take(history, kernel_side, &closing);
    int result = write_batch(history, batch, kernel_side, &err);
    uint64_t dropped = 0;

    if (result == 0)
        dropped = gone_well(history, batch, &was_ailing);
    else
        gone_wrong(history, batch);
    if (result == 0 && (history->written >= TRIM_EVERY || vf_now_ns() >= history->trim_ns))
        result = trim(history, &err);
    if (result != 0 && history_may_tell(history))
        log_warn("the history is not kept at present, all else goes on: %s", err.text);
    if (result == 0 && was_ailing)
        tell_again(history, dropped);
    else if (dropped > 0)
        tell_dropped(history, dropped);
    return !closing;
}

void *history_writer(void *arg)
{
    while (turn(arg))
        continue;
    return NULL;
}
