// SPDX-License-Identifier: Apache-2.0
/* What a UMED worker may ask of Linux: a seccomp filter written out, as it is small and has no
 * dependency then. */
#include "dxgk/worker/worker.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#else
#error "the filter does not know this machine's system calls"
#endif

/* Address space of a worker: its libraries, the UMED, some records of at most a MiB. */
#define MEMORY_BYTES (512ull << 20)

/* The low half of argument n, as this little endian machine keeps it. */
#define ARGUMENT(n) ((uint32_t)offsetof(struct seccomp_data, args) + (n) * 8u)
#define LOAD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))
#define VERDICT(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define ALLOW VERDICT(SECCOMP_RET_ALLOW)
#define KILL VERDICT(SECCOMP_RET_KILL_PROCESS)
/* Over the next `skip` statements unless the loaded word is `value`. */
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))

#define ALLOW_CALL(name) UNLESS(__NR_##name, 1), ALLOW
/* Its first argument must be one of two descriptors. A verdict falls either way once the name is
 * right, so the number need not be loaded again. */
#define ALLOW_ON_FDS(name, one, other)                                                             \
    UNLESS(__NR_##name, 6), LOAD(ARGUMENT(0)), UNLESS((one), 1), ALLOW, UNLESS((other), 1), ALLOW, \
        KILL
/* Over the next statement unless the loaded word has this bit. */
#define IF_BIT(bit) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bit), 0, 1)
/* Memory that could be executed is refused, and so is memory with a file behind it. */
#define ALLOW_MPROTECT UNLESS(__NR_mprotect, 4), LOAD(ARGUMENT(2)), IF_BIT(PROT_EXEC), KILL, ALLOW
#define ALLOW_MMAP                                                                                 \
    UNLESS(__NR_mmap, 7), LOAD(ARGUMENT(2)), IF_BIT(PROT_EXEC), KILL, LOAD(ARGUMENT(3)),           \
        IF_BIT(MAP_ANONYMOUS), ALLOW, KILL

static struct sock_filter filter[] = {
    LOAD(offsetof(struct seccomp_data, arch)),
    UNLESS(THIS_ARCH, 1),
    BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
    KILL,
    LOAD(offsetof(struct seccomp_data, nr)),

    /* The socket, and stderr for what the UMED has to say. */
    ALLOW_ON_FDS(read, UMED_CALL_FD, UMED_CALL_FD),
    ALLOW_ON_FDS(recvfrom, UMED_CALL_FD, UMED_CALL_FD),
    ALLOW_ON_FDS(sendto, UMED_CALL_FD, UMED_CALL_FD),
    ALLOW_ON_FDS(write, UMED_CALL_FD, STDERR_FILENO),
    ALLOW_ON_FDS(writev, STDERR_FILENO, STDERR_FILENO),

    /* Memory. */
    ALLOW_CALL(brk),
    ALLOW_CALL(munmap),
    ALLOW_CALL(mremap),
    ALLOW_CALL(madvise),
    ALLOW_MMAP,
    ALLOW_MPROTECT,

    ALLOW_CALL(futex),
    ALLOW_CALL(clock_gettime),
    ALLOW_CALL(gettimeofday),
    ALLOW_CALL(setitimer), /* main.c: the alarm over each call */
#ifdef __NR_alarm
    ALLOW_CALL(alarm),
#endif
    ALLOW_CALL(rt_sigreturn),
    ALLOW_CALL(restart_syscall),
    ALLOW_CALL(exit),
    ALLOW_CALL(exit_group),
#ifdef SANITIZED
    ALLOW_CALL(sched_yield),
    ALLOW_CALL(getpid),
    ALLOW_CALL(gettid),
    ALLOW_CALL(sigaltstack),
    ALLOW_CALL(rt_sigprocmask),
    ALLOW_CALL(rt_sigaction),
    ALLOW_CALL(nanosleep),
    ALLOW_CALL(clock_nanosleep),
    ALLOW_CALL(getrusage),
#endif
    KILL,
};

/* A core would hold what guests stored. */
static int limit(void)
{
    const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) != 0 || setrlimit(RLIMIT_NOFILE, &none) != 0)
        return -1;
#ifndef SANITIZED
    const struct rlimit memory = {MEMORY_BYTES, MEMORY_BYTES};

    return setrlimit(RLIMIT_AS, &memory);
#else
    return 0;
#endif
}

int sandbox_enter(void)
{
    const struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};

    if (limit() != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
