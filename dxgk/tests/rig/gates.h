// SPDX-License-Identifier: Apache-2.0
/* The folder by which a test says what becomes of a driver's calls (drivers/gated.c lists the names
 * of its files). One at a time: its place is in the environment, where the driver looks. */
#ifndef DXGK_TESTS_GATES_H
#define DXGK_TESTS_GATES_H

/* All of these fail the test when a call fails. */

/* Before the rig is opened. */
void gates_open(void);
/* After the rig is closed; the test has taken away what it put there, but for "CALL.at". */
void gates_close(void);
/* Where the file of this name is or would be. Valid until the next call. */
const char *gates_path(const char *name);
void gates_put(const char *name);
/* Takes the file away if it is there. */
void gates_take(const char *name);
/* Whoever comes to this call stands there from now on, until it is lifted for good. */
void gates_shut(const char *name);
void gates_lift(const char *name);
/* Waits until the driver has taken the file away. */
void gates_await_taken(const char *name);
/* Waits until the driver has put it there. */
void gates_await_put(const char *name);

#endif
