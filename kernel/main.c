// SPDX-License-Identifier: Apache-2.0
/*
 * vferry-kernel: the process that holds a host's devices, drivers and partitions. vferryd starts
 * it; it lives on when vferryd goes, and ends when it is neither needed nor used (server.h). Logs
 * to stderr.
 */
#define LOG_ROOM "kernel"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/plain.h"
#include "base/privacy.h"
#include "kernel/server.h"

#include "kernel/client.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#define MAX_LIST 64u /* devices, drivers; dxgk has its own limits below that */

struct options {
    const char *state_dir;
    const char *device_dir;
    const char *driver_dir;
    const char *devices[MAX_LIST];
    const char *drivers[MAX_LIST];
    size_t device_count;
    size_t driver_count;
    int ready_fd; /* -1 = none */
    bool scrub_on_demand;
    bool help;
};

static const char usage[] = "vferry-kernel --state DIR [--device SPEC]... [--driver FILE]... "
                            "--device-dir D --driver-dir D [--ready-fd N] "
                            "[--scrub-on-demand]\n"
                            "Started by vferryd. --ready-fd: one line goes there, \"ready\" or why "
                            "it could not start, then it is closed.\n"
                            "--scrub-on-demand: free VRAM is zero-filled when a partition is to "
                            "get it, not in the background.\n";

static int add(const char **list, size_t *count, const char *value, struct vf_error *err)
{
    if (*count == MAX_LIST)
        return vf_fail(err, VF_USAGE, "%s: at most %u devices and as many drivers can be", value,
                       (unsigned)MAX_LIST);
    list[(*count)++] = value;
    return 0;
}

static int parse_fd(const char *text, int *fd, struct vf_error *err)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < 0 || number > 1000000)
        return vf_fail(err, VF_USAGE, "--ready-fd %s: is no descriptor", VF_SHOWN(text));
    *fd = (int)number;
    return 0;
}

static int parse(int argc, char **argv, struct options *options, struct vf_error *err)
{
    static const struct option names[] = {
        {"state", required_argument, NULL, 's'},
        {"device", required_argument, NULL, 'd'},
        {"driver", required_argument, NULL, 'r'},
        {"device-dir", required_argument, NULL, 'D'},
        {"driver-dir", required_argument, NULL, 'R'},
        {"ready-fd", required_argument, NULL, 'f'},
        {"scrub-on-demand", no_argument, NULL, 'z'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int wrong = 0;
    int c;

    *options = (struct options){.ready_fd = -1};
    while (wrong == 0 && (c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 's':
            options->state_dir = optarg;
            break;
        case 'D':
            options->device_dir = optarg;
            break;
        case 'R':
            options->driver_dir = optarg;
            break;
        case 'd':
            wrong = add(options->devices, &options->device_count, optarg, err);
            break;
        case 'r':
            wrong = add(options->drivers, &options->driver_count, optarg, err);
            break;
        case 'f':
            wrong = parse_fd(optarg, &options->ready_fd, err);
            break;
        case 'z':
            options->scrub_on_demand = true;
            break;
        case 'h':
            options->help = true;
            return 0;
        default: /* getopt_long has named it on stderr */
            wrong = vf_fail(err, VF_USAGE, "an option is wrong");
            break;
        }
    }
    if (wrong != 0)
        return -1;
    if (optind != argc)
        return vf_fail(err, VF_USAGE, "%s: is no option", VF_SHOWN(argv[optind]));
    if (options->state_dir == NULL || options->device_dir == NULL || options->driver_dir == NULL)
        return vf_fail(err, VF_USAGE, "--state, --device-dir and --driver-dir are needed");
    return 0;
}

/* Before any thread: SIGTERM and SIGINT reach the accepting thread only, a vanished client or
 * terminal nobody. */
static int take_signals(void)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* what is too large fails by its errno, and ends no host */
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void tell(int ready_fd, const char *line)
{
    if (ready_fd < 0)
        return;
    if (dprintf(ready_fd, "%s\n", line) < 0)
        log_debug("nobody waits for this start");
    (void)close(ready_fd);
}

static int live(const struct options *options, const struct ks_config *config, int *ready_fd,
                struct vf_error *err)
{
    struct dxgk_config devices = {
        .devices = options->devices,
        .device_count = options->device_count,
        .drivers = options->drivers,
        .driver_count = options->driver_count,
        .device_dir = options->device_dir,
        .driver_dir = options->driver_dir,
        .event = ks_event,
        .trial = true,
        .scrub = !options->scrub_on_demand,
    };
    struct ks_server *server = NULL;
    struct dxgk *dxgk = NULL;
    int result = -1;

    if (ks_open(config, &server, err) != 0)
        return -1;
    devices.event_ctx = server;
    if (dxgk_open(&devices, &dxgk, err) == 0) {
        log_info("up: %s", config->specs);
        tell(vf_take_fd(ready_fd), "ready");
        result = ks_run(server, dxgk, err);
        dxgk_close(dxgk);
    }
    /* After dxgk: whoever sees the lock free finds devices and drivers let go. */
    ks_close(server);
    return result;
}

int main(int argc, char **argv)
{
    struct vf_error err = VF_ERROR_INIT;
    struct options options;
    char specs[sizeof((struct kc_host *)0)->specs];
    cleanup_close int signal_fd = -1;
    struct ks_config config = {.specs = specs, .idle_ms = KS_IDLE_MS};
    int result;

    vf_log_init("vferry-kernel", VF_LOG_INFO);
    vf_process_private();
    dxgk_trial_main(argc, argv);
    vf_raise_open_files();
    if (parse(argc, argv, &options, &err) != 0) {
        (void)fprintf(stderr, "vferry-kernel: %s\n%s", err.text, usage);
        return VF_USAGE;
    }
    if (options.help)
        return fputs(usage, stdout) < 0 ? VF_FAILED : VF_OK;
    (void)prctl(PR_SET_NAME, "vferry-kernel");
    dxgk_crash_install();
    (void)setsid(); /* fails when it leads a group already, and then has its own */
    signal_fd = take_signals();
    config.state_dir = options.state_dir;
    config.signal_fd = signal_fd;
    if (signal_fd < 0)
        result = vf_fail_errno(&err, VF_FAILED, errno, "take signals");
    else
        result = kc_specs(options.devices, options.device_count, options.drivers,
                          options.driver_count, specs, sizeof specs, &err);
    if (result == 0)
        result = live(&options, &config, &options.ready_fd, &err);
    vf_log_end();
    if (result != 0) {
        log_error("%s", err.text);
        tell(vf_take_fd(&options.ready_fd), err.text);
        return (int)err.code;
    }
    log_info("ended");
    return VF_OK;
}
