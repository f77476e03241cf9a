// SPDX-License-Identifier: Apache-2.0
/* Which thread is in a driver's call, and who waits for that thread. See waits.h. */
#include "dxgk/waits.h"

#include "base/clock.h"
#include "base/thread.h"
#include "dxgk/internal.h"
#include "dxgk/adapter/loader.h"

#include <stdio.h>
#include <string.h>

/* All gates in an update, and the locks that come after one. */
#define HELD_MOST (VF_MAX_ADAPTERS + 8u)
/* Who waits for whom: no chain of the lock order (internal.h) has more links. */
#define CHAIN_MOST 8u

struct thread {
    uint32_t connection;          /* own thread: dxgk_serve's */
    const struct dxgk_call *call; /* waits_lock: the innermost that it is in */
    const void *waits_for;        /* waits_lock, as all that follows */
    const void *held[HELD_MOST];
    unsigned held_count;
    char partition[VF_NAME_BYTES];
    bool listed;
    struct thread *previous, *next;
};

static _Thread_local struct thread self;

static pthread_mutex_t waits_lock = VF_LOCK_INITIALIZER; /* a leaf */
static struct thread *threads; /* waits_lock: those that are in, wait for or hold something */

static void unlist(void)
{
    if (self.next != NULL)
        self.next->previous = self.previous;
    *(self.previous != NULL ? &self.previous->next : &threads) = self.next;
    self.previous = self.next = NULL;
    self.listed = false;
}

/* Lock held. Its record lies in the thread, which may end once it is in no list. */
static void list_again(void)
{
    bool wanted = self.call != NULL || self.waits_for != NULL || self.held_count > 0;

    if (wanted && !self.listed) {
        self.next = threads;
        if (threads != NULL)
            threads->previous = &self;
        threads = &self;
        self.listed = true;
    } else if (!wanted && self.listed) {
        unlist();
    }
}

static void change_call(const struct dxgk_call *call)
{
    vf_lock(&waits_lock);
    self.call = call;
    list_again();
    vf_unlock(&waits_lock);
}

void dxgk_waits_call(struct dxgk_call *call)
{
    call->outer = self.call;
    change_call(call);
}

void dxgk_waits_returned(const struct dxgk_call *call)
{
    change_call(call->outer);
}

const struct dxgk_call *dxgk_waits_current(void)
{
    return self.call;
}

void dxgk_waits_for(const void *what)
{
    vf_lock(&waits_lock);
    self.waits_for = what;
    list_again();
    vf_unlock(&waits_lock);
}

void dxgk_waits_holds(const void *what)
{
    vf_lock(&waits_lock);
    self.waits_for = NULL;
    if (self.held_count < HELD_MOST)
        self.held[self.held_count++] = what;
    list_again();
    vf_unlock(&waits_lock);
}

void dxgk_waits_lets_go(const void *what)
{
    vf_lock(&waits_lock);
    for (unsigned i = self.held_count; i-- > 0;) {
        if (self.held[i] == what) {
            self.held[i] = self.held[--self.held_count];
            break;
        }
    }
    list_again();
    vf_unlock(&waits_lock);
}

void dxgk_lock(pthread_mutex_t *lock)
{
    dxgk_waits_for(lock);
    vf_lock(lock);
    dxgk_waits_holds(lock);
}

void dxgk_unlock(pthread_mutex_t *lock)
{
    vf_unlock(lock);
    dxgk_waits_lets_go(lock);
}

const char *dxgk_waits_partition(void)
{
    return self.partition;
}

void dxgk_waits_about(const char *partition)
{
    vf_lock(&waits_lock);
    (void)snprintf(self.partition, sizeof self.partition, "%s", partition);
    vf_unlock(&waits_lock);
}

void dxgk_serve(uint32_t connection)
{
    self.connection = connection;
    dxgk_waits_about("");
}

/* ---- who asks; all with the lock held ---- */

static const struct dxgk_call *earlier(const struct dxgk_call *a, const struct dxgk_call *b)
{
    return a == NULL || (b != NULL && b->start_ns < a->start_ns) ? b : a;
}

static const struct dxgk_call *outermost(const struct dxgk_call *call)
{
    while (call != NULL && call->outer != NULL)
        call = call->outer;
    return call;
}

static bool holds(const struct thread *thread, const void *what)
{
    for (unsigned i = 0; i < thread->held_count; i++) {
        if (thread->held[i] == what)
            return true;
    }
    return false;
}

/* The longest call that the thread waits for: its own, or one of whoever has what it wants. */
static const struct dxgk_call *behind(const struct thread *thread, unsigned links)
{
    const struct dxgk_call *found = outermost(thread->call);

    if (found != NULL || thread->waits_for == NULL || links == CHAIN_MOST)
        return found;
    for (const struct thread *other = threads; other != NULL; other = other->next) {
        if (other != thread && holds(other, thread->waits_for))
            found = earlier(found, behind(other, links + 1));
    }
    return found;
}

/* While a call is in the list its adapter keeps its image: it holds the gate. */
static void describe(const struct dxgk_call *call, struct dxgk_driver_call *out)
{
    *out = (struct dxgk_driver_call){0};
    if (call == NULL)
        return;
    out->ns = vf_now_ns() - call->start_ns;
    out->adapter = call->adapter->index;
    (void)snprintf(out->ddi, sizeof out->ddi, "%s", call->name);
    (void)snprintf(out->driver, sizeof out->driver, "%s",
                   call->adapter->image != NULL ? dxgk_image_path(call->adapter->image) : "");
}

void dxgk_longest_call(struct dxgk_driver_call *out)
{
    const struct dxgk_call *longest = NULL;

    vf_lock(&waits_lock);
    for (const struct thread *thread = threads; thread != NULL; thread = thread->next)
        longest = earlier(longest, outermost(thread->call));
    describe(longest, out);
    vf_unlock(&waits_lock);
}

size_t dxgk_waiters(struct dxgk_waiter *out, size_t capacity)
{
    size_t count = 0;

    vf_lock(&waits_lock);
    for (const struct thread *t = threads; t != NULL && count < capacity; t = t->next) {
        const struct dxgk_call *call = t->connection != 0 ? behind(t, 0) : NULL;

        if (call == NULL)
            continue;
        out[count].connection = t->connection;
        memcpy(out[count].partition, t->partition, sizeof out[count].partition);
        describe(call, &out[count].call);
        count++;
    }
    vf_unlock(&waits_lock);
    return count;
}
