// SPDX-License-Identifier: Apache-2.0
/*
 * The hand-off of one partition between two hosts, for spin. What each end decides is not written
 * here: the verifier is linked with migrate/handoff/core.c and calls handoff_step. This file is the
 * world around it: journals, kernel sides, a network that loses and repeats, and crashes between
 * any two actions. docs/model.md says what is modelled and what is not, and how to read a trail.
 * MOVES attempts in a row, each from wherever the partition runs to the other host: a later one is
 * a second try or a move back, and meets the messages of those before it.
 */
#ifndef MOVES
#define MOVES 2
#endif
#ifndef KERNEL_DEATHS
#define KERNEL_DEATHS 1
#endif
#ifndef FAILURES
#define FAILURES 0 /* of a write or a kernel call that a core asked for, in each search */
#endif

#include "names.h"

/* ---- what a host keeps ---- */

/* The kernel side's copy of the partition (enum vf_partition_state). It outlives the daemon. */
#define absent 0
#define running 1
#define outgoing 2
#define outgoing_paused 3
#define incoming 4
#define ready 5
byte copy[2];
byte copy_epoch[2]; /* struct vf_partition_info.epoch */

/* Of each hand-off at each host: the journal's last record and what it says is owed, which outlive
 * everything; and what the daemon has in memory beside it. */
#define AT(host, move) ((host) * (MOVES + 1) + (move))
#define SLOTS (2 * (MOVES + 1))
byte journal[SLOTS];
bool owes[SLOTS];
bool admitted[SLOTS]; /* the record carries the token */
bool unsure[SLOTS];   /* a write may or may not have been made */
byte series[SLOTS];
byte at[SLOTS];
byte act[SLOTS];  /* the action to be carried out, */
byte what[SLOTS]; /* its record or message */
byte newest[2]; /* journal_epoch() */
bool up[2];     /* vferryd has recovered and serves */
byte busy[2];   /* its threads that are in the middle of something */
byte failures;  /* so many actions have failed */

#define J(host, move) journal[AT(host, move)]
#define OWES(host, move) owes[AT(host, move)]
#define ACT(host, move) act[AT(host, move)]
#define WHAT(host, move) what[AT(host, move)]
#define RESTS(host, move) (series[AT(host, move)] == 0 && ACT(host, move) == DO_NOTHING)

/* A move's number is its epoch, its job id and its token at once: none is ever used twice. */
byte begun;                /* moves so far */
byte source_of[MOVES + 1]; /* host */
bool job_runs[MOVES + 1];  /* the source's thread walks its phases: it may still turn back */

byte in_slot, in_event; /* of step(); 0 otherwise */
#ifdef UNSURE
byte wrote; /* likewise */
#endif

c_decl {
    \#include "step.h"
}

/* Asks that end's core what follows from the event (models/step.c). */
inline step(host, move, event) {
    in_slot = AT(host, move);
    in_event = event;
    c_code {
        struct model_view view = {
            now.journal, now.owes, now.admitted, now.unsure, now.series, now.at, now.act, now.what,
            now.copy, now.copy_epoch, now.newest, now.source_of, now.wire, now.storm
        };

        model_step(&view, now.in_slot, now.in_event);
    };
    in_slot = 0;
    in_event = 0
}

/* ---- the network ---- */

/*
 * While it storms, a message that was ever said can arrive at any time, any number of times, or
 * never: loss, delay, duplicates and any order are all of that. When the storm ends, what was said
 * in a move is lost, or all of it arrives once more; from then on nothing is lost.
 */
#define ANSWERS (RUNNING | NEVER_RAN | CLOSE | CANNOT | RUNS_THERE)

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
    assert(!RUNS(1 - host)); /* never two */
    assert(!stale[host]);    /* never a stale copy */
    copy[host] = running;
    stale[1 - host] = copy[1 - host] != absent;
#if MOVES > 1
    stale_state[2] = true;
#endif
    stale_state[1] = true
}

/* kc_partition_destroy() */
inline destroy(host) {
    assert(!RUNS(host)); /* what works is never thrown away */
    copy[host] = absent;
    copy_epoch[host] = 0;
    stale[host] = false
}

/* A record of that move is in the journal. (The records themselves are written by step(), for a
 * write is durable when it returns; what a crash can leave of it is all or nothing.) */
inline is_newest(host, move) {
    if
    :: newest[host] < move -> newest[host] = move
    :: else
    fi
}

#define ARRIVING(host, move) \
    ((copy[host] == incoming || copy[host] == ready) && copy_epoch[host] == (move))

/* ---- the shells ---- */

/* RESUME, START or DESTROY goes well. */
inline kernel_call(h, e) {
    if
    :: ACT(h, e) == DO_DESTROY -> destroy(h)
    :: ACT(h, e) == DO_RESUME && copy[h] == outgoing -> copy[h] = running
    :: ACT(h, e) == DO_RESUME && copy[h] == outgoing_paused -> start(h)
    :: ACT(h, e) == DO_START -> start(h)
    :: else
    fi
}

#define CALLS(h, e) (ACT(h, e) == DO_RESUME || ACT(h, e) == DO_START || ACT(h, e) == DO_DESTROY)
/* The kernel side may have died since the core saw its copy, and hold one of a later move. */
#define CAN_CALL(h, e) \
    ((ACT(h, e) == DO_START && copy[h] == ready && copy_epoch[h] == (e)) || \
     (ACT(h, e) == DO_RESUME && (copy[h] == outgoing || copy[h] == outgoing_paused || \
                                 copy[h] == running)) || \
     (ACT(h, e) == DO_DESTROY && copy[h] != absent && \
      (h == source_of[e] -> copy_epoch[h] < (e) && newest[h] == (e) : copy_epoch[h] == (e))))
#define MAY_FAIL (storm && failures < FAILURES)

#define WRITES_COMMIT(h, e) (ACT(h, e) == DO_JOURNAL && WHAT(h, e) == REC_COMMIT)

/* Carries out what the core asks for, until it asks for nothing. A daemon can die between any two
 * of these: an action and its result are one step, for a crash between them is like one before it,
 * or after it. Messages are no steps of their own (models/step.c): a crash before one is like its
 * loss. */
inline one_action(h, e) {
    if
    /* COMMIT is durable before anybody looks at the clock, or at the copy once more. */
    :: atomic { WRITES_COMMIT(h, e) && J(h, e) == REC_COMMIT ->
        if
        :: step(h, e, EV_DID)
        :: step(h, e, EV_DID_LATE)
        fi
       }
    :: atomic { ACT(h, e) == DO_JOURNAL && !(WRITES_COMMIT(h, e) && J(h, e) == REC_COMMIT) ->
        if
        :: WRITES_COMMIT(h, e) -> J(h, e) = REC_COMMIT; is_newest(h, e)
        :: !WRITES_COMMIT(h, e) -> step(h, e, EV_DID); is_newest(h, e)
        :: MAY_FAIL -> failures++; step(h, e, EV_FAILED)
#ifdef UNSURE
        :: MAY_FAIL -> failures++;
            wrote = WHAT(h, e);
            step(h, e, EV_UNSURE);
            if
            :: J(h, e) = wrote; is_newest(h, e)
            :: skip
            fi;
            wrote = 0
#endif
        fi
       }
    :: atomic { CALLS(h, e) ->
        if
        :: CAN_CALL(h, e) -> kernel_call(h, e); step(h, e, EV_DID)
        :: CAN_CALL(h, e) && MAY_FAIL -> failures++; step(h, e, EV_FAILED)
        :: !CAN_CALL(h, e) -> step(h, e, EV_FAILED)
        fi
       }
    :: atomic { ACT(h, e) == DO_SEND -> /* READY, in the storm */
        if
        :: say(READY, e); step(h, e, EV_DID)
        :: step(h, e, EV_FAILED)
        fi
       }
    fi
}

inline carry_out(h, e) {
    do
    :: atomic { ACT(h, e) == DO_NOTHING -> break }
    :: ACT(h, e) != DO_NOTHING -> one_action(h, e)
    od
}

/* What a daemon had in memory dies with it. */
inline forget(h) {
    d_step {
        in_slot = AT(h, 0);
        do
        :: in_slot < AT(h, 0) + MOVES + 1 ->
            series[in_slot] = 0;
            at[in_slot] = 0;
            act[in_slot] = 0;
            what[in_slot] = 0;
            unsure[in_slot] = false;
            in_slot++
        :: else -> break
        od;
        in_slot = 0
    }
}

/* A thread that is in the middle of something is `busy`; a crash ends it there. */
#define DIES(host) atomic { !up[host] -> busy[host]-- }

/* Something has happened; what follows is carried out from the label `reacts` on, if anything. */
inline react(h, e, event) {
    step(h, e, event);
    if
    :: ACT(h, e) == DO_NOTHING
    :: else -> busy[h]++; goto reacts
    fi
}

/* ---- the source ---- */

/* mig_source_start(): one job of a partition at a time, its epoch above all that is known here. */
#define MAY_START(host, move) \
    (up[host] && copy[host] == running && begun == (move) - 1 && newest[host] < (move) && \
     !job_runs[begun])

/* The phases up to READY. Any may be the last: --max-blackout, a cancel, a failure. */
inline source_phases(h, e) {
    if
    :: atomic { HEARD(ADMITTED, e) -> take(ADMITTED, e); step(h, e, EV_ADMITTED) } /* OPEN again */
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
    :: atomic { HEARD(READY, e) -> take(READY, e); step(h, e, EV_READY) }
    :: goto call_off
    fi
}

#define SETTLES(h, e) (up[h] && RESTS(h, e) && !job_runs[e])
#define OWES_COMMIT(h, e) (SETTLES(h, e) && J(h, e) == REC_COMMIT && !unsure[AT(h, e)])
#define OWES_ABORT(h, e) \
    (SETTLES(h, e) && (J(h, e) == REC_ABORTED || J(h, e) == REC_OPEN) && OWES(h, e))

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
        J(h, e) = REC_OPEN; is_newest(h, e); /* open_partition() */
        copy[h] = outgoing; /* admit() */
        say(ADMIT, e)
    };
    {
        source_phases(h, e);
        goto act_on;
call_off:
        atomic { step(h, e, EV_GIVES_UP) };
act_on:
        carry_out(h, e);
        atomic { job_runs[e] = false; busy[h]--; goto over }
    } unless { atomic { !up[h] -> job_runs[e] = false; busy[h]-- } };

over:
end_over:
    do
    /* The retry thread. A question that is under way, or whose answer is, is not put again. */
    :: atomic {
        OWES_COMMIT(h, e) && !(wire[e] & (COMMIT | ABORT | ANSWERS)) -> react(h, e, EV_DUE)
       }
    :: atomic { OWES_ABORT(h, e) && !(wire[e] & (ABORT | ANSWERS)) -> react(h, e, EV_DUE) }
    :: atomic { SETTLES(h, e) && HEARD(RUNNING, e) -> take(RUNNING, e); react(h, e, EV_RUNNING) }
    :: atomic {
        SETTLES(h, e) && HEARD(NEVER_RAN, e) -> take(NEVER_RAN, e); react(h, e, EV_NEVER_RAN)
       }
    /* CLOSE answers an ABORT, and ends what the move's own link has heard. */
    :: atomic { SETTLES(h, e) && HEARD(CLOSE, e) -> take(CLOSE, e); react(h, e, EV_CLOSE) }
    :: atomic { OWES_ABORT(h, e) && HEARD(GIVEN_UP, e) -> take(GIVEN_UP, e); react(h, e, EV_CLOSE) }
    :: atomic {
        SETTLES(h, e) && HEARD(RUNS_THERE, e) -> take(RUNS_THERE, e); react(h, e, EV_RUNS_THERE)
       }
    :: atomic {
        SETTLES(h, e) && !storm && (wire[e] & CANNOT) -> take(CANNOT, e); react(h, e, EV_CANNOT)
       }

    /* Its thread waits for RUNNING in vain: that decides nothing. */
    :: atomic { storm && OWES_COMMIT(h, e) -> react(h, e, EV_GIVES_UP) }

#ifdef RESOLVE
    /* job resolve --source-runs: ABORT instead of COMMIT; CLOSE says what NEVER_RAN says. (The
     * other choice is the COMMIT that is owed anyway.) */
    :: atomic { OWES_COMMIT(h, e) -> react(h, e, EV_AGREE_SOURCE) }
#endif
    od;

reacts:
    { carry_out(h, e); atomic { busy[h]-- } } unless { DIES(h) };
    goto over
}

/* ---- the target ---- */

#define IS(record) (up[h] && RESTS(h, e) && !unsure[AT(h, e)] && J(h, e) == record)
#define SERVES(h, e) (up[h] && RESTS(h, e) && !unsure[AT(h, e)])

proctype Target(byte e) {
    byte h;

end:
    atomic { begun >= e -> h = 1 - source_of[e] };
end_idle:
    do
    /* admission(): create; OPEN, ADMITTED. Else REFUSED: the source's own time ends its wait. */
    :: atomic {
        up[h] && HEARD(ADMIT, e) && NEWER(h, e) && copy[h] == absent -> take(ADMIT, e); busy[h]++;
        copy[h] = incoming;
        copy_epoch[h] = e
       };
       {
        atomic { J(h, e) = REC_OPEN; is_newest(h, e); say(ADMITTED, e); busy[h]-- }
       } unless { DIES(h) }

    /* target_prepare(): proof, mutable state; PREPARED, READY. */
    :: atomic {
        IS(REC_OPEN) && HEARD(STATE, e) && copy[h] == incoming && copy_epoch[h] == e ->
        take(STATE, e);
        copy[h] = ready;
        stale[h] = stale_state[e];
        react(h, e, EV_PROVEN)
       }

    /* Before PREPARED a lost link or a cancel leaves nothing on this host. */
    :: atomic { IS(REC_OPEN) -> say(GIVEN_UP, e); react(h, e, EV_GIVES_UP) }

    /* COMMIT and ABORT, on the move's own link or on a later one, whatever became of the job. */
    :: atomic { SERVES(h, e) && HEARD(COMMIT, e) -> take(COMMIT, e); react(h, e, EV_COMMIT) }
    :: atomic { SERVES(h, e) && HEARD(ABORT, e) -> take(ABORT, e); react(h, e, EV_ABORT) }
    /* It waits for COMMIT in vain: that decides nothing. */
    :: atomic { storm && IS(REC_PREPARED) -> react(h, e, EV_GIVES_UP) }
    /* After DONE, or after waiting for it in vain; and what a START that failed left. */
    :: atomic { IS(REC_COMMITTED) && !ARRIVING(h, e) -> react(h, e, EV_GIVES_UP) }
    :: atomic { IS(REC_COMMITTED) && ARRIVING(h, e) -> react(h, e, EV_DUE) }

#ifdef RESOLVE
    /* An INQUIRE, and what the source's journal says then. The answer may come late. */
#ifdef MUT_ACCOUNT_OF_RUNNING_JOB
    :: atomic { up[1 - h] && J(1 - h, e) == REC_COMMIT -> say(ACCOUNT, e) }
#else
    :: atomic { up[1 - h] && J(1 - h, e) == REC_COMMIT && !job_runs[e] -> say(ACCOUNT, e) }
#endif
    /* job resolve --target-runs, and the other choice. */
    :: atomic {
        IS(REC_PREPARED) && HEARD(ACCOUNT, e) -> take(ACCOUNT, e); react(h, e, EV_AGREE_TARGET)
       }
    :: atomic { IS(REC_PREPARED) -> react(h, e, EV_AGREE_SOURCE) }
#endif
    od;

reacts:
    { carry_out(h, e); atomic { busy[h]-- } } unless { DIES(h) };
    goto end_idle
}

/* ---- a restart of vferryd ---- */

#define UNKNOWN(h, e) (J(h, e) == REC_COMMIT || J(h, e) == REC_PREPARED)

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

#define NOTHING_TO_DO(h, e) (J(h, e) == REC_NONE || J(h, e) == REC_DONE)

proctype Recover(byte h) {
    byte e;

end:
    do
    :: atomic { !up[h] && busy[h] == 0 -> e = begun };
        do
        :: atomic { e > 0 && NOTHING_TO_DO(h, e) -> e-- }
        :: atomic { e > 0 && !NOTHING_TO_DO(h, e) -> step(h, e, EV_RESTART) };
            do
            :: ACT(h, e) != DO_NOTHING -> one_action(h, e)
            :: atomic { ACT(h, e) == DO_NOTHING -> e--; break }
            :: atomic { storm -> forget(h); e = begun; break } /* it dies again */
            od
        :: e == 0 -> break
        od;
        sweep(h);
        atomic { e = 0; up[h] = true }
    od
}

/* ---- what befalls them ---- */

#define CAN_GO_ON(h) \
    (RUNS(h) || ((copy[h] == outgoing_paused || copy[h] == ready) && !stale[h]))

/* That record is about to be written: the last look at the copy was before that. */
#define COMMITS(h, e) (ACT(h, e) == DO_JOURNAL && WHAT(h, e) == REC_COMMITTED)
#define TAKES_BACK(h, e) (ACT(h, e) == DO_JOURNAL && WHAT(h, e) == REC_ABORTED)

/* A vferry-kernel dies, and its copy with it. A loss where that was the one that counted; or may
 * have been, which a person has to say: COMMITTED does not tell whether it had been started. */
inline kernel_dies(h) {
    d_step {
        if
        :: RUNS(h) || (copy[h] == outgoing_paused &&
                (J(h, newest[h]) != REC_COMMIT || TAKES_BACK(h, newest[h]))) ||
            (copy[h] == ready && (J(h, copy_epoch[h]) == REC_COMMITTED ||
                                  COMMITS(h, copy_epoch[h]))) ||
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
    /* kill -9 of a vferryd; restarted it recovers */
    :: atomic { up[0] -> up[0] = false; forget(0) }
    :: atomic { up[1] -> up[1] = false; forget(1) }
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
    (begun < (e) || (J(source_of[e], e) == REC_DONE && J(1 - source_of[e], e) == REC_DONE) || \
     (J(source_of[e], e) == REC_ABORTED && !OWES(source_of[e], e) && \
      (J(1 - source_of[e], e) == REC_NONE || J(1 - source_of[e], e) == REC_ABORTED)))
#if MOVES == 1
#define ALL_AGREED AGREED(1)
#elif MOVES > 2
#define ALL_AGREED (AGREED(1) && AGREED(2) && AGREED(3))
#else
#define ALL_AGREED (AGREED(1) && AGREED(2))
#endif

/* Never none for ever, and nothing of it anywhere else. */
ltl one_runs { [] (!storm -> <> [] (lost || ONE_RUNS)) }
/* Unknown only while the peer is away. */
ltl known { [] (!storm -> <> [] (lost || ALL_AGREED)) }
ltl both { [] (!storm -> <> [] (lost || (ONE_RUNS && ALL_AGREED))) }
