// SPDX-License-Identifier: Apache-2.0
/* Every verb with its options and texts. See verbs.h. */
#include "cli/syntax/verbs.h"

#include "cli/output/print.h"

static const struct cli_option stop_options[] = {
    {VALUE_FLAG, "force", NULL, "force", "drop the partitions that are still there", false},
    {VALUE_END},
};

static const struct cli_option defrag_options[] = {
    {VALUE_FLAG, "dry-run", NULL, "dry_run", "only tell what would be moved", false},
    {VALUE_END},
};

static const struct cli_option create_options[] = {
    {VALUE_NUMBER, "adapter", "N", "adapter", "the adapter that gives it a VF and VRAM", true,
     NAMES_ADAPTER},
    {VALUE_SIZE, "vram", "SIZE", "vram", "its VRAM, zero-filled; e.g. 512M, 1.5GiB", true},
    {VALUE_END},
};

static const struct cli_option run_options[] = {
    {VALUE_INPUT, "input", "FILE.pgm", NULL, "diffuse: the picture", false},
    {VALUE_WORKLOAD, "steps", "N", NULL, "diffuse, gemm, churn: how many steps", false},
    {VALUE_WORKLOAD, "n", "N", NULL, "gemm: rows and columns", false},
    {VALUE_WORKLOAD, "seed", "S", NULL, "gemm, churn, fill: of the content; default 0", false},
    {VALUE_WORKLOAD, "size", "SIZE", NULL, "churn, fill: bytes of VRAM", false},
    {VALUE_WORKLOAD, "hot", "SIZE", NULL, "churn: the part rewritten; default all", false},
    {VALUE_WORKLOAD, "rate", "BYTES/S", NULL, "churn: paces the writes, no more", false},
    {VALUE_END},
};

static const struct cli_option reference_options[] = {
    {VALUE_INPUT, "input", "FILE.pgm", NULL, "diffuse: the picture", false},
    {VALUE_WORKLOAD, "steps", "N", NULL, "diffuse, gemm, churn: how many steps", false},
    {VALUE_WORKLOAD, "n", "N", NULL, "gemm: rows and columns", false},
    {VALUE_WORKLOAD, "seed", "S", NULL, "gemm, churn, fill: of the content; default 0", false},
    {VALUE_WORKLOAD, "size", "SIZE", NULL, "churn, fill: bytes of VRAM", false},
    {VALUE_WORKLOAD, "hot", "SIZE", NULL, "churn: the part rewritten; default all", false},
    {VALUE_WORKLOAD, "rate", "BYTES/S", NULL, "churn: changes nothing here", false},
    {VALUE_OUTPUT, "output", "FILE", NULL, "write the result there", false},
    {VALUE_END},
};

static const char work_text[] =
    "Workloads:\n"
    "  diffuse --input FILE.pgm --steps N      heat diffusion over a picture\n"
    "  gemm --n N --steps K [--seed S]         repeated matrix products\n"
    "  churn --size SIZE [--hot SIZE] [--rate BYTES/S] --steps N [--seed S]\n"
    "                                          one page write a step\n"
    "  fill --size SIZE [--seed S]             incompressible content, then idle\n";

static const struct cli_option wait_options[] = {
    {VALUE_SECONDS, "timeout", "TIME", "timeout", "give up after so long (exit 1); e.g. 90, 1m30s",
     false},
    {VALUE_END},
};

static const struct cli_option read_options[] = {
    {VALUE_OUTPUT, "output", "FILE", NULL, "write the result there", true},
    {VALUE_FLAG, "now", NULL, "now", "diffuse: the picture as it is at this step", false},
    {VALUE_END},
};

static const struct cli_option check_options[] = {
    {VALUE_TEXT, "to", "HOST:PORT", "to", "where the other vferryd listens, or its name", true,
     NAMES_PEER},
    {VALUE_END},
};

static const struct cli_option migrate_options[] = {
    {VALUE_TEXT, "to", "HOST:PORT", "to", "where the other vferryd listens, or its name", true,
     NAMES_PEER},
    {VALUE_MS, "max-blackout", "TIME", "max_blackout_ms",
     "longest pause, hard until the hand-off; default 750ms", false},
    {VALUE_SECONDS, "max-time", "TIME", "max_time_s",
     "give up after so long, e.g. 1m30s; default: never", false},
    {VALUE_RATE, "bandwidth", "BYTES/S", "bandwidth", "send no faster; default: no limit", false},
    {VALUE_TEXT, "verify", "delta|full", "verify",
     "full also rehashes both paused sides; default delta", false},
    {VALUE_TEXT, "streams", "auto|N", "streams", "data streams, 1 to 8; default auto", false},
    {VALUE_TEXT, "throttle", "off|auto|MAX%", "throttle",
     "slow a partition that writes too fast, at most so much; default auto", false},
    {VALUE_TEXT, "compress", "none|lz4|zstd|auto", "compress",
     "pack what gets smaller; auto: when sending waits; default none", false},
    {VALUE_FLAG, "all", NULL, "all", "every partition of this host", false, .instead = true},
    {VALUE_LIST, "partition", "PATTERN", "partitions", "those it fits (*, ?, [a-z]); may repeat",
     .names = NAMES_PARTITION, .instead = true},
    {VALUE_FLAG, "dry-run", NULL, NULL, "only check, as check does", false},
    {VALUE_FLAG, "detach", NULL, NULL, "return once it has begun; see \"vferry job list\"", false},
    {VALUE_END},
};

static const struct cli_option evacuate_options[] = {
    {VALUE_LIST, "to", "HOST:PORT", "to",
     "a host that may take partitions, or its name; may repeat", true, NAMES_PEER},
    {VALUE_MS, "max-blackout", "TIME", "max_blackout_ms",
     "longest pause, hard until the hand-off; default 750ms", false},
    {VALUE_SECONDS, "max-time", "TIME", "max_time_s",
     "give a move up after so long, e.g. 1m30s; default: never", false},
    {VALUE_RATE, "bandwidth", "BYTES/S", "bandwidth", "each sends no faster; default: no limit",
     false},
    {VALUE_TEXT, "verify", "delta|full", "verify",
     "full also rehashes both paused sides; default delta", false},
    {VALUE_TEXT, "streams", "auto|N", "streams", "data streams of each, 1 to 8; default auto",
     false},
    {VALUE_TEXT, "throttle", "off|auto|MAX%", "throttle",
     "slow a partition that writes too fast, at most so much; default auto", false},
    {VALUE_TEXT, "compress", "none|lz4|zstd|auto", "compress",
     "pack what gets smaller; auto: when sending waits; default none", false},
    {VALUE_FLAG, "dry-run", NULL, NULL, "only check which could move, and where", false},
    {VALUE_END},
};

static const struct cli_option record_options[] = {
    {VALUE_SECONDS, "seconds", "TIME", "seconds", "for so long, e.g. 30 or 5m; at most 1h", true},
    {VALUE_OUTPUT, "output", "FILE", NULL, "write the recording there, for plan --trace", false},
    {VALUE_END},
};

static const struct cli_option plan_options[] = {
    {VALUE_SIZE, "vram", "SIZE", NULL, "its VRAM, e.g. 8G", false},
    {VALUE_TEXT, "touched", "SIZE|PERCENT", NULL, "of that, written at all; default 100%", false},
    {VALUE_RATE, "write-rate", "BYTES/S", NULL, "it writes so fast, in blocks of 4 KiB", false},
    {VALUE_SIZE, "working-set", "SIZE", NULL, "it writes in so much; default all that is touched",
     false},
    {VALUE_SIZE, "page", "SIZE", NULL, "what a dirty bit covers; default 4K", false},
    {VALUE_INPUT, "trace", "FILE", NULL, "what trace record has seen, in place of all these",
     false},
    {VALUE_RATE, "link", "BYTES/S", NULL, "what the move may send, e.g. 1GB/s", false},
    {VALUE_MS, "max-blackout", "TIME", NULL, "longest pause; default 750ms", false},
    {VALUE_SECONDS, "max-time", "TIME", NULL, "a move is given up after so long; default: never",
     false},
    {VALUE_TEXT, "throttle", "off|auto|MAX%", NULL,
     "slow a partition that writes too fast, at most so much; default auto", false},
    {VALUE_TEXT, "verify", "delta|full", NULL,
     "full also rehashes both paused sides; default delta", false},
    {VALUE_RATE, "host-rate", "BYTES/S", NULL, "hosts read and compare so fast; default: no limit",
     false},
    {VALUE_MS, "fixed-blackout", "TIME", NULL,
     "part of a pause that no round shortens; default 5ms", false},
    {VALUE_INPUT, "fleet", "FILE.json", NULL, "hosts to be emptied, in place of one partition",
     false},
    {VALUE_NUMBER, "at-once", "N", NULL, "fleet: moves at a time of each host; default 1", false},
    {VALUE_TEXT, "placement", "fill|spread", NULL,
     "fleet: where least VRAM is left, or most; default fill", false},
    {VALUE_END},
};

static const struct cli_option set_options[] = {
    {VALUE_RATE, "bandwidth", "BYTES/S", "bandwidth", "send no faster", false},
    {VALUE_MS, "max-blackout", "TIME", "max_blackout_ms", "longest pause", false},
    {VALUE_SECONDS, "max-time", "TIME", "max_time_s", "give up so long after its start", false},
    {VALUE_END},
};

static const struct cli_option resolve_options[] = {
    {VALUE_FLAG, "source-runs", NULL, "source_runs", "the source runs it; the target's copy goes",
     false},
    {VALUE_FLAG, "target-runs", NULL, "target_runs", "the target runs it; the source's copy goes",
     false},
    {VALUE_END},
};

static const struct cli_option save_options[] = {
    {VALUE_OUTPUT, "output", "FILE", NULL, "the image; must not be there yet", true},
    {VALUE_FLAG, "keep", NULL, NULL, "let the partition run on", false},
    {VALUE_TEXT, "compress", "none|lz4|zstd|auto", "compress",
     "pack what gets smaller; auto: when writing waits; default none", false},
    {VALUE_END},
};

static const struct cli_option restore_options[] = {
    {VALUE_INPUT, "input", "FILE", NULL, "the image", true},
    {VALUE_NUMBER, "adapter", "N", "adapter", "the adapter that takes it", true, NAMES_ADAPTER},
    {VALUE_END},
};

static const struct cli_option update_options[] = {
    {VALUE_INPUT, "driver", "FILE.so", NULL, "the new driver", true},
    {VALUE_FLAG, "dry-run", NULL, "dry_run", "all but the replacement: would it work?", false},
    {VALUE_END},
};

static const struct cli_option cert_options[] = {
    {VALUE_LIST, "for", "NAME[,ALT...]", "for", "a host's names, DNS or IP; may repeat", false},
    {VALUE_END},
};

static const struct cli_option cert_add_options[] = {
    {VALUE_LIST, "for", "NAME[,ALT...]", "for", "a host's names, DNS or IP; may repeat", true},
    {VALUE_END},
};

static const struct cli_option top_options[] = {
    {VALUE_SECONDS, "interval", "TIME", "interval", "how long from look to look; default 1s",
     false},
    {VALUE_FLAG, "once", NULL, "once", "print it once and end, as without a terminal", false},
    {VALUE_END},
};

/* What the history is asked for. */
#define HISTORY_FILTER                                                                             \
    {VALUE_WHEN, "since", "WHEN", "since_ns", "not before: 90s, 15m, 2h or 3d ago, or a date",     \
     false},                                                                                       \
        {VALUE_WHEN, "until", "WHEN", "until_ns", "not after", false},                             \
    {                                                                                              \
        VALUE_TEXT, "partition", "NAME", "partition", "about this partition only", false           \
    }

static const char when_text[] =
    "WHEN is an age (90s, 15m, 2h, 3d), local time (\"2026-11-29 04:00\", with seconds if need "
    "be)\n"
    "or RFC 3339 (2026-11-29T04:00:00Z). What lies before a restart of vferryd is shown as well.\n";

static const struct cli_option events_options[] = {
    {VALUE_FLAG, "follow", NULL, "follow", "go on until interrupted", false},
    HISTORY_FILTER,
    {VALUE_TEXT, "kind", "KIND", "kind", "of this kind: job, warning, error, partition, ...",
     false},
    {VALUE_NUMBER, "limit", "N", "limit", "the newest N; default 1024, at most 10000", false},
    {VALUE_END},
};

static const struct cli_option jobs_options[] = {
    HISTORY_FILTER,
    {VALUE_TEXT, "kind", "KIND", "kind", "of this kind: move, check, save or restore", false},
    {VALUE_NUMBER, "limit", "N", "limit", "the newest N; default 1000, at most 10000", false},
    {VALUE_END},
};

/* What a verb takes besides options. */
#define NOTHING .positionals = {{NULL, NULL, VALUE_END}}
#define NAMES .positionals = {{"NAME...", "names", VALUE_LIST, NAMES_PARTITION}}
#define NAME .positionals = {{"NAME", "name", VALUE_TEXT, NAMES_PARTITION}}
#define NEW_NAME .positionals = {{"NAME", "name", VALUE_TEXT}}
#define ADAPTER .positionals = {{"N", "adapter", VALUE_NUMBER, NAMES_ADAPTER}}
#define JOB .positionals = {{"ID", "job", VALUE_NUMBER, NAMES_JOB}}
#define ADDRESS .positionals = {{"HOST:PORT", "address", VALUE_TEXT, NAMES_PEER}}
#define IMAGE .positionals = {{"FILE", NULL, VALUE_INPUT}}
#define DIRECTORY .positionals = {{"DIR", NULL, VALUE_INPUT}}
#define WORKLOAD .positionals = {{"WORKLOAD", "workload", VALUE_TEXT, NAMES_WORKLOAD}}
#define NAME_AND_WORKLOAD                                                                          \
    .positionals = {{"NAME", "name", VALUE_TEXT, NAMES_PARTITION},                                 \
                    {"WORKLOAD", "workload", VALUE_TEXT, NAMES_WORKLOAD}}

const struct cli_verb cli_verbs[] = {
    {"host show", NOTHING, .summary = "the host: its name, processes and address",
     .json = "vferry.host/1", .example = "host show", .run = cmd_request, .print = print_host,
     .shows = true},
    {"host cordon", NOTHING, .summary = "take in no partition any more",
     .more =
         "None is created, arrives or is restored (exit 7) until \"host uncordon\", also after a\n"
         "restart of vferryd. What is here works on, and may leave.\n",
     .json = "vferry.host/1", .example = "host cordon", .run = cmd_request},
    {"host uncordon", NOTHING, .summary = "take in partitions again", .json = "vferry.host/1",
     .example = "host uncordon", .run = cmd_request},
    {"host stop", NOTHING, stop_options, "end vferryd and its kernel side",
     "Refused while there are partitions, unless --force drops them.\n", .json = "vferry.stop/1",
     .example = "host stop --force", .run = cmd_host_stop, .slow = true},
    {"host evacuate", NOTHING, evacuate_options, "move all partitions away from this host",
     "Cordons the host first. Each partition goes where most VRAM is left, and elsewhere when it\n"
     "is refused there. Said again, it goes on with what is still here.\n"
     "Exit 0: none is left. 7: no room for the rest now. Else as \"migrate\" of several.\n",
     .json = "vferry.migrate-set/1",
     .example = "host evacuate --to 10.0.0.2:7001 --to 10.0.0.3:7001", .run = cmd_evacuate,
     .print = print_move_set, .slow = true},
    {"adapter list", NOTHING, .summary = "the host's GPUs", .json = "vferry.adapters/1",
     .example = "adapter list", .run = cmd_request, .print = print_adapters, .shows = true},
    {"adapter show", ADAPTER, .summary = "one GPU: VFs, VRAM, what it can do",
     .json = "vferry.adapter/1", .example = "adapter show 0", .run = cmd_request,
     .print = print_adapter, .shows = true},
    {"adapter defrag", ADAPTER, defrag_options,
     "move partitions together, so that a larger one fits",
     "For GPUs without scatter, whose partitions need contiguous VRAM. Only those that move are\n"
     "paused, each for its own move. A partition in a migration stays where it is.\n"
     "Exit 1 when one could not be moved: it runs on where it was.\n",
     .json = "vferry.defrag/1", .example = "adapter defrag 0 --dry-run", .run = cmd_request,
     .print = print_defrag, .slow = true},
    {"partition create", NEW_NAME, create_options, "make a partition: a VF with VRAM of its own",
     .json = "vferry.partition/1", .example = "partition create p1 --adapter 0 --vram 1G",
     .run = cmd_request, .print = print_created, .slow = true},
    {"partition list", NOTHING, .summary = "the host's partitions", .json = "vferry.partitions/1",
     .example = "partition list", .run = cmd_request, .print = print_partitions, .shows = true},
    {"partition show", NAME, .summary = "one partition: where, how large, what it does",
     .json = "vferry.partition/1", .example = "partition show p1", .run = cmd_request,
     .print = print_partition, .shows = true},
    {"partition pause", NAME, .summary = "take it out of the GPU's schedule",
     .json = "vferry.partition/1", .example = "partition pause p1", .run = cmd_request},
    {"partition resume", NAME, .summary = "let it run again", .json = "vferry.partition/1",
     .example = "partition resume p1", .run = cmd_request},
    {"partition reset", NAME, .summary = "reset its VF: ends its work, keeps its VRAM",
     .more = "After a command hung (\"vferry events\" tells) this lets the partition run again.\n",
     .json = "vferry.partition/1", .example = "partition reset p1", .run = cmd_request,
     .slow = true},
    {"partition remove", NAME, .summary = "end it; its VRAM is lost", .json = "vferry.removed/1",
     .example = "partition remove p1", .run = cmd_request, .slow = true},
    {"run", NAME_AND_WORKLOAD, run_options, "start a workload in a partition, return at once",
     work_text, .json = "vferry.run/1",
     .example = "run p1 churn --size 512M --rate 100M --steps 200000 --seed 7", .run = cmd_run,
     .print = print_run, .slow = true},
    {"wait", NAME, wait_options, "wait for the workload's end; gives steps and digest",
     "Exit 1 when it is not done in time, or when the partition moved: wait where it says then.\n",
     .json = "vferry.result/1", .example = "wait p1 --timeout 60", .run = cmd_request,
     .print = print_work, .shows = true, .slow = true},
    {"read", NAME, read_options, "fetch the result of a finished workload",
     "With --now the partition should be paused: refused if the work goes on while it is read.\n",
     .json = "vferry.read/1", .example = "read p1 --output after.pgm", .run = cmd_read,
     .print = print_read, .shows = true, .slow = true},
    {"reference", WORKLOAD, reference_options, "the same work on the CPU; needs no host", work_text,
     .json = "vferry.result/1",
     .example = "reference diffuse --input before.pgm --steps 100 --output after.pgm",
     .run = cmd_reference, .print = print_work, .shows = true},
    {"check", NAME, check_options, "could it move? every reason if not",
     "Exit 3 when it cannot, 7 when the target is only full now.\n", .json = "vferry.check/1",
     .example = "check p1 --to 10.0.0.2:7001", .run = cmd_request, .print = print_check,
     .shows = true, .slow = true},
    {"migrate", NAMES, migrate_options, "move running partitions to another host",
     "Ctrl-C cancels: the partition runs on here (exit 4), unless it was handed over already.\n"
     "Of several the exit code is the worst one's: 6, 61, 1, 3, 7, 4, in this order.\n",
     .json = "vferry.job/1; of several vferry.migrate-set/1; with --dry-run vferry.check/1",
     .example = "migrate p1 --to 10.0.0.2:7001 --max-blackout 200 --verify full",
     .run = cmd_migrate, .print = print_moved},
    {"trace record", NAME, record_options, "see what a partition writes while it works",
     "By its dirty bits, ten times a second; it works on, and a move sends all of it all the\n"
     "same. Not during a move (exit 7), nor where tracking begins with one (exit 3).\n",
     .json = "vferry.trace/1", .example = "trace record p1 --seconds 30 --output p1.trace",
     .run = cmd_trace_record, .print = print_trace, .shows = true, .slow = true},
    {"plan", NOTHING, plan_options, "what a move would take, or emptying hosts; needs no host",
     "Rounds, time, pause and throttle, by the policy that decides in a move too. It is told\n"
     "--vram, --write-rate and --link; --trace and --link; or --fleet: hosts, networks and\n"
     "partitions in JSON (see docs/json.md). Then it says who goes where, when and at which "
     "--bandwidth.\n"
     "Exit 4 when a move would be given up, 7 when a partition fits nowhere.\n",
     .json = "vferry.plan/1; with --fleet vferry.plan-fleet/1",
     .example = "plan --vram 8G --touched 60% --write-rate 200MB/s --link 1GB/s", .run = cmd_plan,
     .print = print_plan, .shows = true},
    {"peer show", ADDRESS, .summary = "another host: does it take partitions, what is free there",
     .json = "vferry.peer/1", .example = "peer show 10.0.0.2:7001", .run = cmd_request,
     .print = print_peer, .shows = true},
    {"job list", NOTHING, jobs_options, "moves from and to this host, newest first", when_text,
     .json = "vferry.jobs/1", .example = "job list --since 2d --kind move", .run = cmd_request,
     .print = print_jobs, .shows = true},
    {"job show", JOB, .summary = "one move with all its figures", .json = "vferry.job/1",
     .example = "job show 3", .run = cmd_request, .print = print_job, .shows = true},
    {"job watch", JOB, .summary = "follow a move to its end; exits as \"migrate\" would",
     .json = "vferry.job/1", .example = "job watch 3", .run = cmd_watch, .print = print_moved,
     .slow = true},
    {"job cancel", JOB, .summary = "end a move: the partition runs on at its source",
     .json = "vferry.job/1", .example = "job cancel 3", .run = cmd_request, .slow = true},
    {"job set", JOB, set_options, "change the limits of a move that goes on, at its source",
     "At once: the rate, the time that is left, the next decision. Not once it has paused.\n"
     "A --bandwidth or --max-time of 0 is no limit any more. When a link is lost, the\n"
     "target waits by the --max-time that it was told at first.\n",
     .json = "vferry.job/1", .example = "job set 3 --bandwidth 0 --max-blackout 2000",
     .run = cmd_request},
    {"job resolve", JOB, resolve_options, "say who runs it, when a move's outcome is unknown",
     "Hosts settle it by themselves once they can talk: this is for a host that stays away.\n"
     "Works on either host. The other one's journal is asked first; a choice that it contradicts\n"
     "is refused. A warning says what may be lost or doubled. Exit 1: nothing was changed.\n",
     .json = "vferry.job/1", .example = "job resolve 3 --source-runs", .run = cmd_resolve,
     .print = print_resolved, .slow = true},
    {"job forget", JOB, NULL, "give up telling a peer that never comes back how a move ended",
     "A host that could not be told that a move was called off is tried for ever; \"job show\"\n"
     "says so (owes). This ends it. A warning says what that host may still hold. An unknown\n"
     "outcome is not forgotten but resolved. Exit 1: nothing was changed.\n",
     .json = "vferry.job/1", .example = "job forget 3", .run = cmd_resolve,
     .print = print_forgotten, .slow = true},
    {"save", NAME, save_options, "save a partition to a file",
     "It is paused meanwhile. Without --keep it goes once the file is whole and on disk.\n"
     "A file that is there already is never replaced.\n"
     "Ctrl-C cancels: the partition runs on (exit 4).\n",
     .json = "vferry.job/1", .example = "save p1 --output p1.image", .run = cmd_save,
     .print = print_moved},
    {"restore", NEW_NAME, restore_options, "bring a saved partition back",
     "All of the file is checked before anything is made.\n"
     "NAME may be another one than it was saved under.\n"
     "Exit 3 when it cannot run here, 7 when the host is only full now; \"job show --json\"\n"
     "has every reason.\n",
     .json = "vferry.job/1", .example = "restore p1 --input p1.image --adapter 0",
     .run = cmd_restore, .print = print_moved},
    {"image info", IMAGE, .summary = "what a saved partition is; needs no host",
     .more = "Reads the file's start and end only; \"image verify\" reads all of it.\n",
     .json = "vferry.image/1", .example = "image info p1.image", .run = cmd_image_info,
     .print = print_image, .shows = true},
    {"image verify", IMAGE, .summary = "is a saved partition whole? needs no host",
     .more = "Exit 1 when it was cut or changed, 3 when it is from the future.\n",
     .json = "vferry.image/1", .example = "image verify p1.image", .run = cmd_image_verify,
     .print = print_verified, .shows = true},
    {"driver show", ADAPTER, .summary = "the driver of an adapter", .json = "vferry.driver/1",
     .example = "driver show 0", .run = cmd_request, .print = print_driver, .shows = true},
    {"driver update", ADAPTER, update_options, "replace a driver while partitions work",
     "The new driver is tried first, in a process of its own, with the state that the old one\n"
     "saves. Exit 3 when it is refused there: nothing has changed. Exit 1 when it fails later:\n"
     "the old one is back, with its own state. One image may drive several adapters: it is\n"
     "replaced for all of them.\n",
     .json = "vferry.driver-update/1", .example = "driver update 0 --driver new.so",
     .run = cmd_driver_update, .print = print_driver_update, .slow = true},
    {"cert init", DIRECTORY, cert_options, "make a small CA and certificates to try TLS with",
     "DIR gets ca.pem and ca.key, and NAME.pem and NAME.key for each --for; without --for, for\n"
     "localhost. Nothing that is there is replaced. Needs no host. Who has ca.key can be any "
     "host.\n",
     .json = "vferry.cert/1",
     .example = "cert init certs --for a.example,10.0.0.1 --for b.example,10.0.0.2",
     .run = cmd_cert_init, .print = print_certs},
    {"cert add", DIRECTORY, cert_add_options, "certificates for more hosts, of the same CA",
     .json = "vferry.cert/1", .example = "cert add certs --for c.example", .run = cmd_cert_add,
     .print = print_certs},
    {"cert show", IMAGE, .summary = "whose a certificate is, and until when; needs no host",
     .json = "vferry.certificate/1", .example = "cert show certs/a.example.pem",
     .run = cmd_cert_show, .print = print_certificate, .shows = true},
    {"top", NOTHING, top_options, "a live screen: hosts, partitions at work, moves",
     "Several hosts side by side: --host A --host B. q or Ctrl-C ends it.\n"
     "GPU is a partition's share of its adapter's engine time since the last look.\n"
     "A host that does not answer is shown as that. Exit 5 when none does, with --once.\n",
     .json = "vferry.top/1", .example = "top --host A --host B", .run = cmd_top, .print = print_top,
     .shows = true, .many_hosts = true},
    {"events", NOTHING, events_options, "what happened on the host", when_text,
     .json = "vferry.events/1; with --follow a vferry.event/1 a line",
     .example = "events --since 2h --partition p1", .run = cmd_events, .print = print_events,
     .shows = true, .slow = true},
    {NULL},
};
