// SPDX-License-Identifier: Apache-2.0
/* When each move begins, at what rate, and when it ends. See fleet.h. */
#include "cli/plan/fleet.h"

#include "base/cleanup.h"

/* A chain of moves that wait, in their order; by index + 1, 0 ends it. */
struct chain {
    size_t first, last;
};

struct end { /* a host's end of the moves */
    struct chain from, to;
    uint64_t used; /* of its network */
    size_t waiting;
    uint32_t running;
};

struct waiting {
    size_t next_from, next_to; /* in the chains of its hosts */
};

struct schedule {
    const struct fleet *fleet;
    const struct fleet_wish *wish;
    struct fleet_move *moves;
    struct end *ends;         /* one a host */
    uint64_t *link_used;      /* one a link */
    struct waiting *waiting;  /* one a partition */
    bool *begun;              /* one a partition */
    size_t *heap, heap_count; /* moves that run, the one that ends first on top */
    uint64_t now;
};

/* ---- moves that run, by their end ---- */

static bool ends_before(const struct schedule *s, size_t a, size_t b)
{
    const uint64_t first = s->moves[a].end_ns, second = s->moves[b].end_ns;

    return first != second ? first < second : a < b;
}

static void swap(size_t *a, size_t *b)
{
    const size_t was = *a;

    *a = *b;
    *b = was;
}

static void push(struct schedule *s, size_t move)
{
    size_t at = s->heap_count++;

    s->heap[at] = move;
    for (; at > 0 && ends_before(s, s->heap[at], s->heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&s->heap[at], &s->heap[(at - 1) / 2]);
}

static size_t pop(struct schedule *s)
{
    const size_t top = s->heap[0];

    s->heap[0] = s->heap[--s->heap_count];
    for (size_t at = 0, child; (child = 2 * at + 1) < s->heap_count; at = child) {
        if (child + 1 < s->heap_count && ends_before(s, s->heap[child + 1], s->heap[child]))
            child++;
        if (!ends_before(s, s->heap[child], s->heap[at]))
            break;
        swap(&s->heap[child], &s->heap[at]);
    }
    return top;
}

/* ---- networks ---- */

/* The link that the file names between two hosts; the count of links = none. */
static size_t link_between(const struct fleet *fleet, size_t a, size_t b)
{
    const size_t least = a < b ? a : b, most = a < b ? b : a;
    size_t low = 0, high = fleet->link_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct fleet_link *link = &fleet->links[middle];

        if (link->a < least || (link->a == least && link->b < most))
            low = middle + 1;
        else
            high = middle;
    }
    if (low < fleet->link_count && fleet->links[low].a == least && fleet->links[low].b == most)
        return low;
    return fleet->link_count;
}

/* Among how many what is free of a host's network is shared now. */
static uint64_t sharers(const struct schedule *s, const struct end *end)
{
    const uint64_t free = s->wish->at_once - end->running;

    return free < end->waiting ? free : end->waiting;
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What a move gets if it begins now: its part, and no less than it needs where that is free. */
static uint64_t rate_for(const struct schedule *s, size_t from, size_t to)
{
    const struct end *source = &s->ends[from], *target = &s->ends[to];
    const uint64_t of_source = sharers(s, source), of_target = sharers(s, target);
    const uint64_t source_free = s->fleet->hosts[from].nic_bytes_per_s - source->used;
    const uint64_t target_free = s->fleet->hosts[to].nic_bytes_per_s - target->used;
    const size_t link = link_between(s->fleet, from, to);
    uint64_t all = least_of(source_free, target_free);
    uint64_t part = least_of(source_free / of_source, target_free / of_target);

    if (link < s->fleet->link_count) {
        const uint64_t link_free = s->fleet->links[link].bytes_per_s - s->link_used[link];

        all = least_of(all, link_free);
        part = least_of(part, link_free / least_of(of_source, of_target));
    }
    return part < FLEET_LEAST_RATE ? least_of(all, FLEET_LEAST_RATE) : part;
}

/* Takes a rate of both hosts and of their link, or gives it back. */
static void use(struct schedule *s, size_t move, bool take)
{
    const size_t from = s->fleet->partitions[move].host, to = s->moves[move].to;
    const size_t link = link_between(s->fleet, from, to);
    const uint64_t rate = s->moves[move].bytes_per_s;

    s->ends[from].used += take ? rate : -rate;
    s->ends[to].used += take ? rate : -rate;
    if (link < s->fleet->link_count)
        s->link_used[link] += take ? rate : -rate;
    s->ends[from].running += take ? 1 : -1u;
    s->ends[to].running += take ? 1 : -1u;
}

/* ---- beginning ---- */

/* Begins a move if both its hosts let it. */
static bool begin(struct schedule *s, size_t index)
{
    struct fleet_move *move = &s->moves[index];
    const size_t from = s->fleet->partitions[index].host;
    struct plan_move what = s->fleet->partitions[index].move;
    uint64_t rate;

    if (s->ends[from].running == s->wish->at_once || s->ends[move->to].running == s->wish->at_once)
        return false;
    rate = rate_for(s, from, move->to);
    if (rate < FLEET_LEAST_RATE)
        return false;
    what.link_bytes_per_s = rate;
    plan_simulate(&what, &move->outcome);
    move->bytes_per_s = rate;
    move->start_ns = s->now;
    move->end_ns = s->now + move->outcome.total_ns;
    if (move->end_ns < s->now)
        move->end_ns = UINT64_MAX;
    use(s, index, true);
    s->ends[from].waiting--;
    s->ends[move->to].waiting--;
    s->begun[index] = true;
    push(s, index);
    return true;
}

/* Begins what can begin of a chain of a host, now that one of its moves has ended; what has begun
 * leaves the chain. */
static void begin_more(struct schedule *s, size_t host, bool from)
{
    struct chain *chain = from ? &s->ends[host].from : &s->ends[host].to;
    size_t *link = &chain->first;

    while (*link != 0 && s->ends[host].running < s->wish->at_once &&
           s->fleet->hosts[host].nic_bytes_per_s - s->ends[host].used >= FLEET_LEAST_RATE) {
        const size_t index = *link - 1;
        size_t *next = from ? &s->waiting[index].next_from : &s->waiting[index].next_to;

        if (s->begun[index] || begin(s, index))
            *link = *next;
        else
            link = next;
    }
}

static void append(struct schedule *s, size_t host, bool from, size_t index)
{
    struct chain *chain = from ? &s->ends[host].from : &s->ends[host].to;
    size_t *last = &chain->first;

    if (chain->last != 0)
        last = from ? &s->waiting[chain->last - 1].next_from : &s->waiting[chain->last - 1].next_to;
    *last = chain->last = index + 1;
}

static int most_to_send_first(const void *a, const void *b, void *ctx)
{
    const struct fleet_partition *all = ctx;
    const size_t i = *(const size_t *)a, j = *(const size_t *)b;

    if (all[i].move.touched_bytes != all[j].move.touched_bytes)
        return all[i].move.touched_bytes > all[j].move.touched_bytes ? -1 : 1;
    return i < j ? -1 : i > j;
}

static void run(struct schedule *s, const size_t *order, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        const size_t from = s->fleet->partitions[order[n]].host, to = s->moves[order[n]].to;

        append(s, from, true, order[n]);
        append(s, to, false, order[n]);
        s->ends[from].waiting++;
        s->ends[to].waiting++;
    }
    for (size_t n = 0; n < count; n++)
        (void)begin(s, order[n]);
    while (s->heap_count > 0) {
        const size_t over = pop(s);

        s->now = s->moves[over].end_ns;
        use(s, over, false);
        begin_more(s, s->fleet->partitions[over].host, true);
        begin_more(s, s->moves[over].to, false);
    }
}

int fleet_schedule(const struct fleet *fleet, const struct fleet_wish *wish,
                   struct fleet_move *moves)
{
    cleanup_free struct end *ends = calloc(fleet->host_count + 1, sizeof *ends);
    cleanup_free uint64_t *link_used = calloc(fleet->link_count + 1, sizeof *link_used);
    cleanup_free struct waiting *waiting = calloc(fleet->partition_count + 1, sizeof *waiting);
    cleanup_free bool *begun = calloc(fleet->partition_count + 1, sizeof *begun);
    cleanup_free size_t *heap = calloc(fleet->partition_count + 1, sizeof *heap);
    cleanup_free size_t *order = calloc(fleet->partition_count + 1, sizeof *order);
    struct schedule s = {.fleet = fleet,
                         .wish = wish,
                         .moves = moves,
                         .ends = ends,
                         .link_used = link_used,
                         .waiting = waiting,
                         .begun = begun,
                         .heap = heap};
    size_t count = 0;

    if (ends == NULL || link_used == NULL || waiting == NULL || begun == NULL || heap == NULL ||
        order == NULL)
        return -1;
    for (size_t i = 0; i < fleet->partition_count; i++) {
        if (moves[i].leaves && moves[i].to != FLEET_NOWHERE)
            order[count++] = i;
    }
    qsort_r(order, count, sizeof *order, most_to_send_first, fleet->partitions);
    run(&s, order, count);
    return 0;
}
