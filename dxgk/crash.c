// SPDX-License-Identifier: Apache-2.0
/* What becomes known of a driver that takes the kernel side down with it: dxgk_crash_install. */
#include "dxgk/internal.h"
#include "dxgk/waits.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED true /* it tells more, and needs the signals for that */
#else
#define SANITIZED false
#endif

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};

/* Async-signal-safe but for snprintf, which with these formats allocates nothing and takes no lock
 * in glibc. The process ends by the signal right after: the handler is reset. */
static void tell(int number, siginfo_t *info, void *context)
{
    const struct dxgk_call *call = dxgk_waits_current();
    char thread[16] = "?";
    char line[300];
    int length;

    (void)context;
    (void)prctl(PR_GET_NAME, thread);
    if (call != NULL)
        length = snprintf(
            line, sizeof line,
            "vferry-kernel[%d] error crash: SIG%s at address %p in thread %.15s, in "
            "the driver's %s of adapter %u; the kernel side is gone, its partitions with it\n",
            (int)getpid(), sigabbrev_np(number), info->si_addr, thread, call->name,
            call->adapter->index);
    else
        length = snprintf(line, sizeof line,
                          "vferry-kernel[%d] error crash: SIG%s at address %p in thread %.15s, in "
                          "no call of a driver; the kernel side is gone, its partitions with it\n",
                          (int)getpid(), sigabbrev_np(number), info->si_addr, thread);
    if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
        length = 0; /* nobody left to tell */
    (void)raise(number);
}

void dxgk_crash_install(void)
{
    struct sigaction action = {.sa_sigaction = tell,
                               .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_NODEFER)};

    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; !SANITIZED && i < sizeof signals / sizeof *signals; i++)
        (void)sigaction(signals[i], &action, NULL); /* fails for no signal of this list */
}
