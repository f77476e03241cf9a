// SPDX-License-Identifier: Apache-2.0
/* What becomes known of a driver that takes the kernel side down with it, or hangs. See crash.h. */
#include "dxgk/crash.h"

#include "base/size.h"
#include "dxgk/internal.h"
#include "dxgk/loader.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The calling thread's own: the DDI that it is in, the innermost one. */
static _Thread_local const struct dxgk_call *current;

static pthread_mutex_t calls_lock = PTHREAD_MUTEX_INITIALIZER; /* a leaf */
static struct dxgk_call *latest; /* calls_lock: of all that are under way; the rest behind it */

void dxgk_crash_enter(struct dxgk_call *call)
{
    call->outer = current;
    current = call;
    (void)pthread_mutex_lock(&calls_lock);
    call->earlier = latest;
    latest = call;
    (void)pthread_mutex_unlock(&calls_lock);
}

void dxgk_crash_leave(const struct dxgk_call *call)
{
    (void)pthread_mutex_lock(&calls_lock);
    for (struct dxgk_call **at = &latest; *at != NULL; at = &(*at)->earlier) {
        if (*at == call) {
            *at = call->earlier;
            break;
        }
    }
    (void)pthread_mutex_unlock(&calls_lock);
    current = call->outer;
}

/* While a call is in the list its adapter keeps its image: it holds the gate. */
void dxgk_longest_call(struct dxgk_driver_call *out)
{
    const struct dxgk_call *first;

    *out = (struct dxgk_driver_call){0};
    (void)pthread_mutex_lock(&calls_lock);
    first = latest;
    while (first != NULL && first->earlier != NULL)
        first = first->earlier;
    if (first != NULL) {
        out->ns = vf_now_ns() - first->start_ns;
        out->adapter = first->adapter->index;
        (void)snprintf(out->ddi, sizeof out->ddi, "%s", first->name);
        (void)snprintf(out->driver, sizeof out->driver, "%s",
                       first->adapter->image != NULL ? dxgk_image_path(first->adapter->image) : "");
    }
    (void)pthread_mutex_unlock(&calls_lock);
}

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
    const struct dxgk_call *call = current;
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
