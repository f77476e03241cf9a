// SPDX-License-Identifier: Apache-2.0
/* The values of migrate/handoff/core.h that the model speaks of; step.c compares them. */

#define REC_NONE 0
#define REC_OPEN 1
#define REC_PREPARED 2
#define REC_COMMIT 3
#define REC_COMMITTED 4
#define REC_DONE 5
#define REC_ABORTED 6

#define DO_NOTHING 0
#define DO_JOURNAL 1
#define DO_RESUME 2
#define DO_START 3
#define DO_DESTROY 4
#define DO_SEND 5
#define DO_ASK 6
#define DO_RETRY 7
#define DO_REPORT 8

#define EV_DID 0
#define EV_DID_LATE 1
#define EV_FAILED 2
#define EV_UNSURE 3
#define EV_ADMITTED 4
#define EV_PROVEN 5
#define EV_GIVES_UP 6
#define EV_RESTART 7
#define EV_DUE 8
#define EV_AGREE_SOURCE 10
#define EV_AGREE_TARGET 11
#define EV_READY 14
#define EV_RUNNING 15
#define EV_NEVER_RAN 16
#define EV_CLOSE 17
#define EV_RUNS_THERE 19
#define EV_CANNOT 20
#define EV_COMMIT 21
#define EV_ABORT 22

#define MSG_READY 1
#define MSG_COMMIT 2
#define MSG_RUNNING 3
#define MSG_NEVER_RAN 4
#define MSG_ABORT 5
#define MSG_CLOSE 6
#define MSG_NOT_NOW 10
#define MSG_RUNS_HERE 11
#define MSG_LOST 12

/* What is on the wire, a bit each. */
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
#define CANNOT 2048   /* on a redialled link: not now */
#define RUNS_THERE 4096 /* likewise: never */
