// SPDX-License-Identifier: Apache-2.0
/*
 * A person, or a cluster manager, says who runs a partition whose move's outcome is unknown
 * (mig_job_resolve, migrate.h). The peer's journal is asked first; what it says cannot be
 * overruled.
 */
#ifndef MIGRATE_HANDOFF_RESOLVE_H
#define MIGRATE_HANDOFF_RESOLVE_H

#include "migrate/handoff/copy.h"
#include "migrate/journal/journal.h"
#include "migrate/migrate.h"
#include "migrate/wire/wire.h"

/* What is known when somebody has to decide. */
struct resolve_view {
    enum mig_side side;     /* this host is the move's */
    enum journal_kind mine; /* last record here: COMMIT, PREPARED or COMMITTED */
    bool held;              /* the kernel side here still has its copy */
    bool peer_known;        /* else nobody there could be asked: */
    struct wire_account peer;
    const char *partition, *host, *other; /* for texts: the names of it, this host, the peer */
};

/* `runs`: the side that is said to run it. May it be? 0, or VF_FAILED: what the journals say, and
 * which choice is right. A pure function. */
int resolve_allows(const struct resolve_view *view, enum mig_side runs, struct vf_error *err);
/* What is lost or doubled by it, or may be, and what to do; "" = nothing. Returns `out`. */
const char *resolve_warning(const struct resolve_view *view, enum mig_side runs,
                            char out[MIG_WARNING_BYTES]);

#endif
