// SPDX-License-Identifier: Apache-2.0
/* What another process is doing, in words for a person. */
#ifndef VF_BASE_PROCESS_STATE_H
#define VF_BASE_PROCESS_STATE_H

#include <stddef.h>
#include <sys/types.h>

/* Fills `text` by the state in /proc/PID/stat: "stopped by a signal", "waits for a disk or a
 * device without end", ...; "its state cannot be read" when there is no such file. Returns `text`.
 * Any thread. */
const char *vf_process_state(pid_t pid, char *text, size_t bytes);

/* Enough for every such text. */
#define VF_PROCESS_STATE_BYTES 64

#endif
