// SPDX-License-Identifier: Apache-2.0
/* What a guest stores to have faulty_umed.c go wrong. */
#ifndef DXGK_TESTS_FAULTY_UMED_H
#define DXGK_TESTS_FAULTY_UMED_H

#define FAULT 0xfa170000u

enum fault {
    FAULT_CRASH = 1,
    FAULT_HANG,
    FAULT_EXIT,
    /* What a worker must not do; each has to end it with SIGSYS. */
    FAULT_OPEN,
    FAULT_SOCKET,
    FAULT_EXEC,
    FAULT_FORK,
    FAULT_KILL,
    FAULT_PTRACE,
    FAULT_MAP_CODE,
    FAULT_MAP_FILE,
    FAULT_READ_FD,
    FAULT_GARBAGE, /* on the socket, before its answer */
    /* From the next save on. */
    FAULT_SAVE_HUGE,
    FAULT_SAVE_GROWS,
    FAULT_SAVE_OVERRUN,
};

#endif
