// SPDX-License-Identifier: Apache-2.0
/* A folder of a target's own. */
#ifndef FUZZ_DIRECTORY_H
#define FUZZ_DIRECTORY_H

/* A folder for sockets and files, made at the first call and removed with what `names` (NULL at the
 * end, static) lists in it when the process ends. In memory where the machine has such a place. */
const char *fuzz_directory(const char *const *names);

#endif
