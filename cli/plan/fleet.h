// SPDX-License-Identifier: Apache-2.0
/*
 * Hosts to be emptied, in thought: which partition goes where, in which order, how many at a time,
 * at what rate each, and how long all of it takes.
 *
 * Placement: the largest partition first, each to the host that it fills best (or, if wished so, to
 * the one that has most VRAM left, as `host evacuate` does). Order: what has most to send first. A
 * move gets its part of both hosts' network and of the link between them when it begins, and keeps
 * it: so it is what --bandwidth can be told.
 */
#ifndef CLI_PLAN_FLEET_H
#define CLI_PLAN_FLEET_H

#include "base/error.h"
#include "cli/plan/simulate.h"

#include <jansson.h>
#include <stddef.h>

#define FLEET_MAX_HOSTS 4096u
#define FLEET_MAX_LINKS 65536u
#define FLEET_MAX_PARTITIONS 65536u
#define FLEET_MAX_AT_ONCE 64u
#define FLEET_NOWHERE SIZE_MAX
/* The least a move is given, and a network has; migrate asks a little less of --bandwidth with two
 * data streams. */
#define FLEET_LEAST_RATE (1u << 20)

struct fleet_host {
    const char *name;
    uint64_t vram_free_bytes, vf_free;
    uint64_t nic_bytes_per_s; /* of all that it sends and receives */
    bool takes;               /* neither cordoned nor to be emptied */
    bool evacuate;
};

struct fleet_link { /* between two hosts, both ways together */
    size_t a, b;    /* a < b */
    uint64_t bytes_per_s;
};

struct fleet_partition {
    const char *name;
    size_t host;
    uint64_t vram_bytes;
    struct plan_move move; /* its link is the plan's to say */
};

/* As read from a file: hosts and links sorted by name and pair. */
struct fleet {
    json_t *json; /* owns the names */
    struct fleet_host *hosts;
    struct fleet_link *links;
    struct fleet_partition *partitions;
    size_t host_count, link_count, partition_count;
};

struct fleet_wish {
    uint32_t at_once; /* moves that a host sends and receives at a time, 1 at least */
    bool spread;      /* where most VRAM is left, instead of where least is */
};

/* One partition's move, in the order of the fleet's partitions. */
struct fleet_move {
    bool leaves; /* its host is to be emptied */
    size_t to;   /* FLEET_NOWHERE: no host has the room */
    uint64_t bytes_per_s;
    uint64_t start_ns, end_ns;
    struct plan_outcome outcome;
};

/* A description in JSON (docs/schema/vferry.fleet-1.json); `name` is what it is called in errors,
 * `limits` what every move has that no member says. VF_USAGE with one line for whatever is wrong.
 * fleet_free in any case. */
int fleet_read(const char *text, size_t bytes, const char *name, const struct plan_move *limits,
               struct fleet *fleet, struct vf_error *err);
void fleet_free(struct fleet *fleet);

/* Where each that leaves goes. `moves` has one for each partition. How many fit nowhere; -1:
 * no memory. */
long fleet_place(const struct fleet *fleet, const struct fleet_wish *wish,
                 struct fleet_move *moves);
/* When each that has a place goes, how fast and for how long. 0, or -1: no memory. */
int fleet_schedule(const struct fleet *fleet, const struct fleet_wish *wish,
                   struct fleet_move *moves);

#endif
