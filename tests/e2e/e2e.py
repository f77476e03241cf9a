# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: real hosts on loopback, work for their partitions, and questions about both."""
import atexit
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from harness import PATIENCE, Host, reference, wait_until  # noqa: E402

BUILD = pathlib.Path(os.environ.get("VF_BUILD", ROOT / "build")).resolve()

# Generous where a test is not about the limit itself: sanitizers and loaded machines are slow.
BLACKOUT_MS = 20000
# What no log may say, whatever a test does to the host: a sanitizer's finding, an illegal step of a state machine, a breached rule.
# Only a kernel side that a test has killed may be missed.
WRONG = re.compile(
    r".*(?:ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|runtime error:| error (?!.*the kernel side is gone)).*"
)
DEVICE = "softgpu,vram=256M,vfs=4,dirty-page=64K"


# The hosts of a test are entered among those of this user (daemon/control/registry.h) where no person's own are.
os.environ["XDG_RUNTIME_DIR"] = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="vferry-runtime-")
atexit.register(shutil.rmtree, os.environ["XDG_RUNTIME_DIR"], True)
# Nor is a person's choice of a host the tests'.
os.environ.pop("VFERRY_HOST", None)

# Under a thread sanitizer a host is so slow that several at once would count each other as lost.
SLOW = b"__tsan_init" in (BUILD / "vferryd").read_bytes()


def at_once(count):
    """How many things may go on at once where `count` are fine on a plain build."""
    return max(1, count // 3) if SLOW else count


class Work:
    """A workload with its options; the CPU tells what it must end with."""

    def __init__(self, kind, **options):
        self.kind, self.options = kind, options

    def words(self):
        return [self.kind] + [
            word for key, value in self.options.items() for word in (f"--{key}", value)
        ]

    def want(self):
        return reference(BUILD, *self.words())["digest"]


def churn(seconds, size="8M", rate=8 << 20, seed=1, **more):
    """Work that lasts about so long, and longer where all that is done meanwhile takes longer: it is paced, 4 KiB a step."""
    seconds *= max(1, PATIENCE // 2)
    return Work(
        "churn", size=size, rate=rate, steps=max(1, int(seconds * rate / 4096)), seed=seed, **more
    )


def pgm(path, width, height, seed):
    """A picture of noise and a ramp, binary PGM."""
    noise = random.Random(seed)
    pixels = bytes(
        (x * 255 // width + noise.randrange(64)) % 256 for y in range(height) for x in range(width)
    )
    path.write_bytes(b"P5\n# made by a test\n%d %d\n255\n" % (width, height) + pixels)
    return path


def show(host, name):
    return host.json("partition", "show", name)


def steps(host, name):
    return show(host, name)["steps"]


def state(host, name):
    return show(host, name)["state"]


def partitions(host):
    return [p["name"] for p in host.json("partition", "list")["partitions"]]


def await_proven(host, adapter=0):
    """All free VRAM is zero-filled and read back, so nothing of the adapter changes by itself any more."""
    wait_until("all free VRAM is proven", lambda: host.json("adapter", "show", adapter)["vram_unproven_bytes"] == 0, 60)


def room(host):
    """What a partition takes of adapter 0 and must give back."""
    adapter = host.json("adapter", "show", 0)
    return adapter["vf_free"], adapter["vram_free_bytes"]


def runs(host, name, timeout=20.0):
    """Returns once the partition has been seen to work: its steps advance, or are all done."""
    first = show(host, name)

    def worked():
        now = show(host, name)
        return now["steps"] > first["steps"] or now["steps"] == now["steps_wanted"]

    wait_until(f"{name} works", worked, timeout)


def begins(host, name, steps_done=1, timeout=60.0):
    wait_until(
        f"{name} reaches step {steps_done}", lambda: steps(host, name) >= steps_done, timeout
    )


def create(host, name, work=None, vram="32M"):
    host.run("partition", "create", name, "--adapter", 0, "--vram", vram)
    if work is not None:
        host.run("run", name, *work.words())


def finish(host, name, timeout=120):
    """Digest of the finished work."""
    return host.json("wait", name, "--timeout", timeout * PATIENCE, timeout=timeout + 30)["digest"]


def move(source, target, name, *options, code=0, json=True, timeout=120):
    """vferry migrate in the foreground: the job's object, or the finished process when another exit code is due."""
    to = target if isinstance(target, str) else target.address
    words = ["migrate", name, "--to", to, "--max-blackout", BLACKOUT_MS, *options]
    return (
        source.json(*words, timeout=timeout)
        if code == 0 and json
        else source.run(*words, code=code, timeout=timeout)
    )


def open_files(pid):
    """What the process's descriptors are."""
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass  # closed meanwhile
    return names


def page_tables(host):
    """Page table blocks of the kernel side: a pool, as large as the most transfers there ever were at once."""
    return sum("vferry-page-tables" in name for name in open_files(host.kernel_pid))


def footprint(host):
    """(descriptors, threads) of the daemon and its kernel side, without the pool above."""

    def count(pid):
        return len(open_files(pid)), len(os.listdir(f"/proc/{pid}/task"))

    (daemon, kernel), pool = map(count, (host.process.pid, host.kernel_pid)), page_tables(host)
    return {"vferryd": daemon, "vferry-kernel": (kernel[0] - pool, kernel[1])}


def rested(host, timeout=20.0):
    """The footprint once it has stood still for a while: nobody is on the way out any more."""
    looks = []

    def still():
        looks.append(footprint(host))
        return len(looks) >= 25 and all(look == looks[-1] for look in looks[-25:])

    wait_until(f"{host.name} is at rest", still, timeout)
    return looks[-1]


def take_descriptors(case, host):
    """Leaves the host's daemon no descriptor: it keeps those that it has, and idle connections, which live as long as the test, take what
    is free among them. The limit as it was."""
    pid = host.process.pid

    def have():
        return {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}

    most = max(have()) + 1
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, before[1]))
    while (count := len(have())) < most:
        holds = socket.socket(socket.AF_UNIX)
        case.addCleanup(holds.close)
        holds.connect(str(host.state / "control.sock"))
        wait_until("the connection has its descriptor", lambda before=count: len(have()) > before or len(have()) >= most)
    return before


def footprint_settles(host, before, timeout=20.0):
    """Waits until both processes hold exactly what they held; tells the difference otherwise."""
    try:
        wait_until(
            "as many descriptors and threads as before", lambda: footprint(host) == before, timeout
        )
    except TimeoutError as late:
        held = [sorted(open_files(pid)) for pid in (host.process.pid, host.kernel_pid)]
        raise AssertionError(
            f"{host.name}: (descriptors, threads) were {before}, are {footprint(host)}: {held}"
        ) from late


def stop(process):
    """SIGSTOP, and back only when no thread of it runs any more."""

    def stopped(task):
        with open(f"/proc/{process.pid}/task/{task}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "T"

    process.send_signal(signal.SIGSTOP)
    wait_until(
        "all threads stand",
        lambda: all(stopped(task) for task in os.listdir(f"/proc/{process.pid}/task")),
    )


def files(host):
    """Every file in the state directory."""
    return sorted(str(path.relative_to(host.state)) for path in host.state.rglob("*"))


class Case(unittest.TestCase):
    """A test with hosts of its own, ended with it; a failure tells what they logged."""

    def setUp(self):
        self.hosts = []
        folder = tempfile.TemporaryDirectory(prefix="vferry-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def host(self, name, *devices, **more):
        place = self.folder / name
        place.mkdir(mode=0o700)
        host = Host(BUILD, name, devices or (DEVICE,), state=place, **more)
        self.hosts.append(host)
        self.addCleanup(self.end, host)
        return host.start()

    def end(self, host):
        """Ends it, and reads what both its processes had to say until their last moment."""
        host.stop()
        for log in host.state.glob("*.log"):
            wrong = WRONG.findall(log.read_text(errors="replace"))
            self.assertEqual(wrong, [], f"{host.name}: {log.name}")

    def pair(self, *devices, **more):
        return self.host("left", *devices, **more), self.host("right", *devices, **more)

    def diagnostics(self):
        return "\n".join(f"---- {host.name} ----\n{host.log()}" for host in self.hosts)

    def assert_nothing_arrived(self, target, before_room, name):
        """Nothing is left of a move that did not happen: waited for, as the target clears up in its own time."""
        wait_until(f"{target.name} has no {name}", lambda: name not in partitions(target), 20)
        wait_until(
            f"{target.name} has its VF and VRAM back", lambda: room(target) == before_room, 20
        )

    def assert_works_to_its_end(self, host, name, work):
        runs(host, name)
        self.assertEqual(
            finish(host, name), work.want(), f"{name} on {host.name} ended with another result"
        )
