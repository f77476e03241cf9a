// SPDX-License-Identifier: Apache-2.0
/*
 * The hand-off of one partition between two hosts, as the code has it, for spin. docs/model.md says
 * what is modelled and what is not, and how to read a trail. MOVES attempts in a row, each from
 * wherever the partition runs to the other host: a later one is a second try or a move back, and
 * meets the messages of those before it.
 */
#ifndef MOVES
#define MOVES 2
#endif
#ifndef KERNEL_DEATHS
#define KERNEL_DEATHS 1
#endif

/* ---- what a host keeps ---- */

/* The kernel side's copy of the partition (enum vf_partition_state). It outlives the daemon. */
mtype:copy = {absent, running, outgoing, outgoing_paused, incoming, ready};
/* The last journal record of a job (enum journal_kind). It outlives everything. */
mtype:record = {none, open, prepared, commit, committed, done, aborted};

mtype:copy copy[2];
byte copy_epoch[2]; /* struct vf_partition_info.epoch */
mtype:record journal[2 * (MOVES + 1)];
bool owes[2 * (MOVES + 1)]; /* a source's record carries the token: the target is owed an ABORT */
byte newest[2];             /* journal_epoch() */
bool up[2];                 /* vferryd has recovered and serves */
byte busy[2];               /* its threads that are in the middle of something */

#define J(host, move) journal[(host) * (MOVES + 1) + (move)]
#define OWES(host, move) owes[(host) * (MOVES + 1) + (move)]

/* A move's number is its epoch, its job id and its token at once: none is ever used twice. */
byte begun;                /* moves so far */
byte source_of[MOVES + 1]; /* host */
bool job_runs[MOVES + 1];  /* the source's thread walks its phases: it may still turn back */

/* ---- the network ---- */

/*
 * While it storms, a message that was ever said can arrive at any time, any number of times, or
 * never: loss, delay, duplicates and any order are all of that. When the storm ends, what was said
 * in a move is lost, or all of it arrives once more; from then on nothing is lost.
 */
#define ADMIT 1 /* from the source */
#define STATE 2
#define COMMIT 4
#define ABORT 8
#define ACCOUNT 16 /* to a target that inquired: COMMIT is in the journal, and no thread runs */
#define ADMITTED 32 /* from the target */
#define READY 64
#define RUNNING 128
#define NEVER_RAN 256
#define CLOSE 512
#define GIVEN_UP 1024 /* ABORT on the move's own link, before READY */
#define CANNOT 2048   /* ABORT on a redialled link: this side cannot help (now) */
#define ANSWERS (RUNNING | NEVER_RAN | CLOSE | CANNOT)

short wire[MOVES + 1];
bool storm = true;

inline say(kind, move) { wire[move] = wire[move] | (kind) }

inline take(kind, move) {
    if
    :: storm -> skip
    :: else -> wire[move] = wire[move] & ~(kind)
    fi
}

#ifdef MUT_NO_EPOCH_CHECK /* whatever comes from that host is taken for this hand-off */
#define FROM(kind, move, other) \
    (other <= begun && source_of[other] == source_of[move] && (wire[other] & (kind)))
#define HEARD(kind, move) (FROM(kind, move, 1) || FROM(kind, move, 2))
#define NEWER(host, move) true
#else
#define HEARD(kind, move) (wire[move] & (kind))   /* handoff_same() */
#define NEWER(host, move) (newest[host] < (move)) /* host_reasons() */
#endif

/* ---- what must never be ---- */

bool stale[2];               /* this copy was overtaken: the partition ran elsewhere since */
bool stale_state[MOVES + 1]; /* likewise what STATE carries */
bool lost;                   /* a kernel side died with the only copy that could go on */

#define RUNS(host) (copy[host] == running || copy[host] == outgoing)

/* kc_partition_resume() */
inline start(host) {
    d_step {
        assert(!RUNS(1 - host)); /* never two */
        assert(!stale[host]);    /* never a stale copy */
        copy[host] = running;
        stale[1 - host] = copy[1 - host] != absent;
        stale_state[1] = true;
        stale_state[2] = true;
#if MOVES > 2
        stale_state[3] = true;
#endif
    }
}

/* kc_partition_destroy() */
inline destroy(host) {
    d_step {
        copy[host] = absent;
        copy_epoch[host] = 0;
        stale[host] = false
    }
}

/* mig_journal(): durable when it returns. What a crash can leave of it is all or nothing. */
inline write(host, move, kind) {
    d_step {
        J(host, move) = kind;
        if
        :: newest[host] < move -> newest[host] = move
        :: else
        fi
    }
}

/* handoff_copy(): this move's copy, not one that came since. */
#define LEAVING(host, move) \
    ((copy[host] == outgoing || copy[host] == outgoing_paused) && copy_epoch[host] < (move))
#define ARRIVING(host, move) \
    ((copy[host] == incoming || copy[host] == ready) && copy_epoch[host] == (move))
#define PREPARED_COPY(host, move) (copy[host] == ready && copy_epoch[host] == (move))

/*
 * A step is what nothing can come between: one kernel call or one durable write, with the message
 * heard before it and the one said after it, because a daemon that dies in between is the same as a
 * message that was lost. A thread that takes several steps is `busy`; `unless` is the crash.
 */
#define DIES(host) atomic { !up[host] -> busy[host]-- }

/* ---- the source (source.c, source_handoff.c, source_connect.c, word.c, settle.c) ---- */

/* mig_source_start(): one job of a partition at a time, its epoch above all that is known here. */
#define MAY_START(host, move) \
    (up[host] && copy[host] == running && begun == (move) - 1 && newest[host] < (move) && \
     !job_runs[begun])

/* copy_run_on(): the copy of this move works again. */
inline run_on(h, e) {
    if
    :: LEAVING(h, e) && copy[h] == outgoing_paused -> start(h)
    :: LEAVING(h, e) && copy[h] == outgoing -> copy[h] = running
    :: else
    fi
}

/* run(): the phases up to COMMIT. Any may be the last: --max-blackout, a cancel, a failure. */
inline source_phases(h, e) {
    if
    :: atomic { HEARD(ADMITTED, e) -> take(ADMITTED, e); OWES(h, e) = true } /* OPEN, with token */
    :: goto call_off
    fi;
    if
    :: atomic {
        copy[h] == outgoing -> /* source_pause(), send_state() */
        copy[h] = outgoing_paused;
        stale_state[e] = stale[h];
        say(STATE, e)
       }
    :: goto call_off
    fi;
    if
    :: atomic { HEARD(READY, e) -> take(READY, e); write(h, e, commit) } /* await_ready, commit */
    :: goto call_off
    fi
}

/* call_off(): the partition runs here before anybody is told. */
inline source_call_off(h, e) {
    atomic { run_on(h, e) };
    write(h, e, aborted)
}

/* commit(): that write took all of --max-blackout. COMMIT has not left this host, so ABORTED may
 * follow it, and must before anything runs: a restart goes by the journal. */
inline source_turn_back(h, e) {
#ifdef MUT_RESUME_BEFORE_ABORTED
    source_call_off(h, e)
#else
    if
    :: atomic { LEAVING(h, e) -> write(h, e, aborted) }; atomic { run_on(h, e) }
    :: !LEAVING(h, e) /* just lost here: COMMIT stands, for the target has the only copy left */
#ifdef MUT_RECALL_THE_LAST_COPY
    :: write(h, e, aborted)
#endif
    fi
#endif
}

/* word_owed(): after COMMIT the source asks until it knows, after ABORTED it tells until it was
 * heard; at first in the job's thread, then the settler, which no crash ends. */
#define OWES_COMMIT(h, e) (up[h] && J(h, e) == commit && !job_runs[e])
#define OWES_ABORT(h, e) (up[h] && J(h, e) == aborted && OWES(h, e) && !job_runs[e])

proctype Source(byte e) {
    byte h;

end:
    atomic {
        if
        :: MAY_START(0, e) -> h = 0
        :: MAY_START(1, e) -> h = 1
        fi;
        begun = e;
        source_of[e] = h;
        job_runs[e] = true;
        busy[h]++;
        write(h, e, open); /* open_partition() */
        copy[h] = outgoing; /* admit() */
        say(ADMIT, e)
    };
    {
        source_phases(h, e);
        if
        :: atomic { job_runs[e] = false; busy[h]--; goto over }
        :: source_turn_back(h, e); atomic { job_runs[e] = false; busy[h]--; goto over }
        fi;
call_off:
        source_call_off(h, e);
        atomic { job_runs[e] = false; busy[h]--; goto over }
    } unless { atomic { !up[h] -> job_runs[e] = false; busy[h]-- } };

over:
end_over:
    do
    :: atomic { OWES_COMMIT(h, e) && !(wire[e] & (COMMIT | ANSWERS)) -> say(COMMIT, e) }

    /* word_give_up_copy(): the copy that this move took out of work, none that came since. */
    :: atomic {
        OWES_COMMIT(h, e) && HEARD(RUNNING, e) -> take(RUNNING, e); busy[h]++;
        if
        :: LEAVING(h, e) -> destroy(h)
        :: else
        fi
       };
       { atomic { write(h, e, done); busy[h]-- } } unless { DIES(h) }

    /* it_never_ran_there(): ABORTED is in the target's journal, so the partition runs on here. */
    :: atomic {
        OWES_COMMIT(h, e) && HEARD(NEVER_RAN, e) -> take(NEVER_RAN, e); busy[h]++;
        OWES(h, e) = false;
        write(h, e, aborted)
       };
       { atomic { run_on(h, e); busy[h]-- } } unless { DIES(h) }
#ifdef MUT_RESUME_AFTER_COMMIT
    :: atomic { OWES_COMMIT(h, e) && LEAVING(h, e) -> run_on(h, e); write(h, e, aborted) }
#endif

    :: atomic { OWES_ABORT(h, e) && !(wire[e] & (ABORT | ANSWERS)) -> say(ABORT, e) }
    :: atomic { OWES_ABORT(h, e) && HEARD(CLOSE, e) -> take(CLOSE, e); OWES(h, e) = false }
    :: atomic { OWES_ABORT(h, e) && HEARD(GIVEN_UP, e) -> take(GIVEN_UP, e); OWES(h, e) = false }

    :: atomic { up[h] && !storm && (wire[e] & CANNOT) -> take(CANNOT, e) } /* it tries again */

#ifdef RESOLVE
    /* job resolve --source-runs: ABORT instead of COMMIT; CLOSE says what NEVER_RAN says. (The
     * other choice is the COMMIT that is owed anyway.) */
    :: atomic { OWES_COMMIT(h, e) -> say(ABORT, e) }
    :: atomic {
        OWES_COMMIT(h, e) && HEARD(CLOSE, e) -> take(CLOSE, e); busy[h]++;
        OWES(h, e) = false;
        write(h, e, aborted)
       };
       { atomic { run_on(h, e); busy[h]-- } } unless { DIES(h) }
#endif
    od
}

/* ---- the target (target.c, target_handoff.c, target_redial.c, answer.c) ---- */

inline discard(h, e) {
    if
    :: ARRIVING(h, e) -> destroy(h)
    :: else
    fi
}

/* give_up() */
inline give_up(h, e) {
    atomic { discard(h, e) };
    atomic { write(h, e, aborted); busy[h]-- }
}

/* Did it run here? Surely so if it went on from here since. */
#define IS_HERE(h, e) (copy[h] != absent && copy[h] != ready && copy_epoch[h] == (e))
#ifdef MUT_MOVED_ON_IS_LOST
#define RAN_HERE(h, e) (J(h, e) == done || IS_HERE(h, e))
#else
#define RAN_HERE(h, e) (J(h, e) == done || IS_HERE(h, e) || newest[h] > (e))
#endif

#define IS(record) (up[h] && J(h, e) == record)

proctype Target(byte e) {
    byte h;

end:
    atomic { begun >= e -> h = 1 - source_of[e] };
idle:
end_idle:
    do
    /* admission(): create; OPEN, ADMITTED. Else REFUSED: the source's own time ends its wait. */
    :: atomic {
        up[h] && HEARD(ADMIT, e) && NEWER(h, e) && copy[h] == absent -> take(ADMIT, e); busy[h]++;
        copy[h] = incoming;
        copy_epoch[h] = e
       };
       { atomic { write(h, e, open); say(ADMITTED, e); busy[h]-- } } unless { DIES(h) }

    /* target_prepare(): proof, mutable state; PREPARED, READY. */
    :: atomic {
        IS(open) && HEARD(STATE, e) && copy[h] == incoming && copy_epoch[h] == e -> take(STATE, e);
        busy[h]++;
        copy[h] = ready;
        stale[h] = stale_state[e]
       };
       {
        if
        :: atomic { write(h, e, prepared); say(READY, e); busy[h]--; goto idle }
        :: write(h, e, prepared) /* READY was not said whole */
        :: skip                  /* PREPARED cannot be written */
        fi;
        give_up(h, e)
       } unless { DIES(h) }

    /* Before PREPARED a lost link or a cancel leaves nothing on this host. */
    :: atomic { IS(open) -> busy[h]++; say(GIVEN_UP, e) };
       { give_up(h, e) } unless { DIES(h) }

    /* COMMIT on the move's own link or on a later one, whatever became of the job:
     * target_take_over(), answer_commit(). */
#ifdef MUT_UNPAUSE_BEFORE_COMMITTED
    :: atomic {
        (IS(prepared) || IS(committed)) && HEARD(COMMIT, e) && PREPARED_COPY(h, e) ->
        take(COMMIT, e); busy[h]++;
        start(h)
       };
       { atomic { write(h, e, committed); say(RUNNING, e); busy[h]-- } } unless { DIES(h) }
#else
    :: atomic {
        (IS(prepared) || IS(committed)) && HEARD(COMMIT, e) && PREPARED_COPY(h, e) ->
        take(COMMIT, e); busy[h]++;
        write(h, e, committed)
       };
take_over:
       { atomic {
           busy[h]--;
           if
           :: PREPARED_COPY(h, e) -> start(h); say(RUNNING, e)
           :: else -> say(CANNOT, e) /* the kernel side died just now */
           fi
         } } unless { DIES(h) }
#endif
    :: atomic {
        up[h] && HEARD(COMMIT, e) && !PREPARED_COPY(h, e) -> take(COMMIT, e);
        if
        :: J(h, e) == prepared -> write(h, e, aborted); say(NEVER_RAN, e) /* the kernel side died */
        :: J(h, e) == aborted -> say(NEVER_RAN, e)
        :: RAN_HERE(h, e) && (J(h, e) == committed || J(h, e) == done) -> say(RUNNING, e)
        :: !RAN_HERE(h, e) && J(h, e) == committed -> say(CANNOT, e) /* likewise, later */
        :: J(h, e) == open || J(h, e) == none -> say(CANNOT, e)
        fi
       }
    /* target_close_books(): after DONE, or after waiting for it in vain. */
    :: atomic { IS(committed) && !PREPARED_COPY(h, e) && RAN_HERE(h, e) -> write(h, e, done) }

    /* ABORT likewise: answer_abort(). CLOSE says: nothing is left here, and nothing will run. */
#ifdef MUT_ABORT_NOT_JOURNALLED
    :: atomic { (IS(open) || IS(prepared)) && HEARD(ABORT, e) -> take(ABORT, e); say(CLOSE, e) }
#else
    :: atomic {
        (IS(open) || IS(prepared)) && HEARD(ABORT, e) -> take(ABORT, e); busy[h]++;
        discard(h, e)
       };
       { atomic { write(h, e, aborted); say(CLOSE, e); busy[h]-- } } unless { DIES(h) }
#endif
    :: atomic {
        up[h] && HEARD(ABORT, e) && J(h, e) != open && J(h, e) != prepared -> take(ABORT, e);
        if
        :: J(h, e) == aborted -> say(CLOSE, e)
        :: else -> say(CANNOT, e)
        fi
       }
#ifdef MUT_TARGET_TIMES_OUT
    :: atomic { IS(prepared) && PREPARED_COPY(h, e) -> destroy(h); J(h, e) = none }
#endif

#ifdef RESOLVE
    /* An INQUIRE, and what the source's journal says then. The answer may come late. */
#ifdef MUT_ACCOUNT_OF_RUNNING_JOB
    :: atomic { up[1 - h] && J(1 - h, e) == commit -> say(ACCOUNT, e) }
#else
    :: atomic { up[1 - h] && J(1 - h, e) == commit && !job_runs[e] -> say(ACCOUNT, e) }
#endif
    /* job resolve --target-runs, and the other choice. */
    :: atomic {
        IS(prepared) && PREPARED_COPY(h, e) && HEARD(ACCOUNT, e) -> take(ACCOUNT, e); busy[h]++;
        write(h, e, committed);
        goto take_over
       }
    :: atomic { IS(prepared) -> busy[h]++; discard(h, e) };
       { atomic { write(h, e, aborted); busy[h]-- } } unless { DIES(h) }
#endif
    od
}

/* ---- a restart of vferryd (recover.c) ---- */

/* Only the newest job of a partition may touch its copy. */
inline recover_job(h, e) {
    if
    :: J(h, e) == open && source_of[e] == h ->
        atomic {
            if
            :: newest[h] == e -> run_on(h, e)
            :: else
            fi
        };
        write(h, e, aborted)
    :: J(h, e) == open && source_of[e] != h -> atomic { discard(h, e) }; write(h, e, aborted)
    :: J(h, e) == prepared && !PREPARED_COPY(h, e) -> write(h, e, aborted)
    :: J(h, e) == committed && PREPARED_COPY(h, e) -> atomic { start(h) }
    :: J(h, e) == committed && !PREPARED_COPY(h, e) && RAN_HERE(h, e) -> write(h, e, done)
    :: else
    fi
}

#define UNKNOWN(h, e) (J(h, e) == commit || J(h, e) == prepared)

/* What no job accounts for: a create without OPEN, a resume that a crash cut off. */
inline sweep(h) {
    atomic {
        if
        :: copy[h] == outgoing_paused && !UNKNOWN(h, newest[h]) -> start(h)
        :: copy[h] == outgoing && !UNKNOWN(h, newest[h]) -> copy[h] = running
        :: (copy[h] == incoming || copy[h] == ready) && !UNKNOWN(h, copy_epoch[h]) -> destroy(h)
        :: else
        fi
    }
}

#define NOTHING_TO_DO(h, e) \
    (J(h, e) == none || J(h, e) == commit || J(h, e) == done || J(h, e) == aborted)

proctype Recover(byte h) {
    byte e;

end:
    do
    :: atomic { !up[h] && busy[h] == 0 -> e = begun };
        do
        :: atomic { e > 0 && NOTHING_TO_DO(h, e) -> e-- }
        :: e > 0 && !NOTHING_TO_DO(h, e) -> recover_job(h, e); e--
        :: e == 0 -> break
        :: storm -> e = begun /* it dies again, in the middle of it */
        od;
        sweep(h);
        up[h] = true
    od
}

/* ---- what befalls them ---- */

#define CAN_GO_ON(h) \
    (RUNS(h) || ((copy[h] == outgoing_paused || copy[h] == ready) && !stale[h]))

/* A vferry-kernel dies, and its copy with it. A loss where that was the one that counted. */
inline kernel_dies(h) {
    d_step {
        if
        :: RUNS(h) || (copy[h] == outgoing_paused && J(h, newest[h]) != commit) ||
            (copy[h] == ready && J(h, copy_epoch[h]) == committed) ||
            (CAN_GO_ON(h) && !CAN_GO_ON(1 - h)) -> lost = true
        :: else
        fi;
        copy[h] = absent;
        copy_epoch[h] = 0;
        stale[h] = false
    }
}

proctype Storm() {
    byte deaths;
    byte e;

    do
    :: up[0] -> up[0] = false /* kill -9 of a vferryd; restarted it recovers */
    :: up[1] -> up[1] = false
    :: deaths < KERNEL_DEATHS && copy[0] != absent -> atomic { deaths++; kernel_dies(0) }
    :: deaths < KERNEL_DEATHS && copy[1] != absent -> atomic { deaths++; kernel_dies(1) }
#ifndef FOR_EVER
    :: break
#endif
    od;
    atomic {
        storm = false;
        deaths = 0;
        e = 1;
        do
        :: e <= MOVES -> wire[e] = 0; e++
        :: e <= MOVES -> e++
        :: e > MOVES -> break
        od;
        e = 0
    }
}

init {
    byte e = 1;

    atomic {
        copy[0] = running;
        copy[1] = absent;
        do
        :: e <= 2 * (MOVES + 1) -> journal[e - 1] = none; e++
        :: else -> break
        od;
        up[0] = true;
        up[1] = true;
        run Storm();
        run Recover(0);
        run Recover(1);
        e = 1;
        do
        :: e <= MOVES -> run Source(e); run Target(e); e++
        :: else -> break
        od
    }
}

/* ---- what must come ---- */

#define ONE_RUNS ((RUNS(0) && copy[1] == absent) || (RUNS(1) && copy[0] == absent))

#define AGREED(e) \
    (begun < (e) || (J(source_of[e], e) == done && J(1 - source_of[e], e) == done) || \
     (J(source_of[e], e) == aborted && !OWES(source_of[e], e) && \
      (J(1 - source_of[e], e) == none || J(1 - source_of[e], e) == aborted)))
#if MOVES > 2
#define ALL_AGREED (AGREED(1) && AGREED(2) && AGREED(3))
#else
#define ALL_AGREED (AGREED(1) && AGREED(2))
#endif

/* Never none for ever, and nothing of it anywhere else. */
ltl one_runs { [] (!storm -> <> [] (lost || ONE_RUNS)) }
/* Unknown only while the peer is away. */
ltl known { [] (!storm -> <> [] (lost || ALL_AGREED)) }
ltl both { [] (!storm -> <> [] (lost || (ONE_RUNS && ALL_AGREED))) }
