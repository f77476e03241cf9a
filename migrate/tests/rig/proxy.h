// SPDX-License-Identifier: Apache-2.0
/*
 * A network that misbehaves: stands between two hosts, reads the records that pass, and does
 * one thing to one of them. Its threads and file descriptors are its own business:
 * proxy_calm leaves none.
 */
#ifndef MIGRATE_TESTS_PROXY_H
#define MIGRATE_TESTS_PROXY_H

#include "migrate/wire/wire.h"

enum proxy_way { TO_TARGET, TO_SOURCE };

enum proxy_act {
    PROXY_PASS,
    PROXY_CUT,      /* the connection breaks before the record */
    /* From the record on nothing arrives on any connection that is open now; none closes. */
    PROXY_SILENCE,
    PROXY_TRUNCATE, /* the connection breaks in the middle of the record */
    PROXY_FLIP,     /* one bit of its payload arrives otherwise */
    PROXY_HOLD,     /* it waits until proxy_release */
    PROXY_ACTS,
};

struct proxy_fault {
    enum proxy_way way;
    enum wire_tag tag;
    unsigned skip; /* records of that kind that pass first */
    enum proxy_act act;
    unsigned again; /* times more that it happens, each after `skip` records */
    bool paused;    /* only records after the announcement of the paused round count */
};

struct proxy;

/* Listens on a loopback port, written to address (64 bytes). */
struct proxy *proxy_open(const char *target, char *address);
void proxy_close(struct proxy *proxy);

/* One fault, once (but see `again`). */
void proxy_arm(struct proxy *proxy, const struct proxy_fault *fault);
/* Has it happened? Disarms. */
bool proxy_fired(struct proxy *proxy);
/* PROXY_HOLD: waits until the record is there, at most 20 s; false = it never came. */
bool proxy_await_hold(struct proxy *proxy);
void proxy_release(struct proxy *proxy);
/* Instead of releasing it: breaks its connection. */
void proxy_cut_held(struct proxy *proxy);
/* What proxy_open wrote. */
const char *proxy_address(const struct proxy *proxy);
/* While off nobody gets through: new connections are closed at once. */
void proxy_refuse(struct proxy *proxy, bool refuse);
/* Breaks all connections. */
void proxy_cut_all(struct proxy *proxy);
/* Waits for the end of all connections, which both sides must have closed, and forgets them. False:
 * some still stand after 20 s. */
bool proxy_calm(struct proxy *proxy);

const char *proxy_act_name(enum proxy_act act);

#endif
