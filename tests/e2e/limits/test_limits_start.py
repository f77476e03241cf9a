# SPDX-License-Identifier: Apache-2.0
"""Hosts that are started on a machine that gives little: one works, or says in one clear line why it does not start and leaves nothing.
Whatever a host that started cannot do it says, and once there is more it works. VF_SWEEP=all tries every value."""
import pathlib
import resource
import subprocess
import unittest

import cgroups
from e2e import BUILD, DEVICE, at_once, begins, churn, create, move
from harness import Failed, Host, wait_until
from limits import NEEDS_ADDRESS_SPACE, SWEEP, Limited

MIB = 1 << 20
# A host that has too little does not get more while another redials it.
GIVES_UP_SOON = ("--silence", "3", "--redial", "3")

TESTS_AT_ONCE = at_once(3)
WHY_NOT_PIDS = cgroups.why_not("pids")
NEEDS_PIDS = unittest.skipIf(WHY_NOT_PIDS is not None, WHY_NOT_PIDS)


def processes_of(state):
    """(pid, command line) of the processes that were started for a state directory."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it ended meanwhile
        if str(state) in words:
            found.append((int(path.parent.name), words))
    return found


class Starved(Host):
    """A host that answers nothing yet although it is ready: its address and its kernel side are asked for once it has more."""

    def __init__(self, *args, lift, **more):
        super().__init__(*args, **more)
        self.lift = lift

    def json(self, *args, code=0, timeout=120):
        try:
            return super().json(*args, code=code, timeout=timeout)
        except Failed:
            if self.address is not None:
                raise
            self.lift()  # all that it was started for is known: it is ready
            return super().json(*args, code=code, timeout=timeout)


class Start(Limited):
    def starts(self, name, number, prefix, lift):
        """The host, or None when it did not start; then it said why and left nothing."""
        place = self.folder / f"{name}{number}"
        place.mkdir(mode=0o700)
        host = Starved(BUILD, name, (DEVICE,), GIVES_UP_SOON, state=place, prefix=prefix, lift=lambda: lift(host))
        self.hosts.append(host)
        self.addCleanup(self.end, host)
        try:
            return host.start()
        except Failed as refused:
            self.said_clearly(refused)
            if host.process.poll() is None:  # ready, but it has nothing left to answer with, and nobody may give it more
                host.process.terminate()
                self.assertEqual(host.process.wait(20), 0)
        wait_until("no process of it is left", lambda: not processes_of(place), 20)
        self.assertEqual([path.name for path in place.glob("*.sock") if path.name != "notify.sock"], [])
        return None

    def end(self, host):
        """One that did not start may have logged why as an error."""
        if host.address is not None:
            super().end(host)

    def said_clearly(self, refused):
        self.assertEqual(refused.code, 1, refused)
        lines = [line for line in refused.err.splitlines() if line.startswith(("vferryd: ", "vferry: "))]
        self.assertEqual(len(lines), 1, refused)
        print(f"# {lines[0][:300]}", flush=True)
        self.assertRegex(lines[0], r"; .*(higher limit|free memory|more memory)", refused)

    def starts_again(self, host):
        host.run("host", "stop")
        host.process.wait(20)
        host.prefix = ()
        host.start()

    def round_from_the_start(self, name, number, prefix, lift):
        """The host `name` starts under the limit, the other one has all it wants."""
        other = self.host(f"peer{number}", DEVICE, options=GIVES_UP_SOON)
        host = self.starts(name, number, prefix, lift)
        if host is not None:
            left, right = (host, other) if name == "left" else (other, host)
            work = churn(1, size="1M", rate=2 << 20, seed=number)
            logged = self.logs()
            made = self.ask(left, "partition", "create", "p", "--adapter", 0, "--vram", "8M").returncode == 0
            works = made and self.ask(left, "run", "p", *work.words()).returncode == 0
            if works:
                begins(left, "p")
            self.everything(left, right, host, number)
            lifted = lift(host)
            if made and not works:
                left.run("partition", "remove", "p")
            self.all_is_well(left, right, host, work if works else None, logged)
            if not lifted:
                self.starts_again(host)
            self.works_again(left, right)
            self.end(host)
        self.end(other)
        return host is not None

    def sweep_starts(self, values, prefix_of, lift):
        number, started = 0, []
        for value in values:
            for name in ("left", "right"):
                number += 1
                if SWEEP:
                    print(f"# {value}, host {name}", flush=True)
                with self.subTest(limit=value, host=name):
                    started.append(self.round_from_the_start(name, number, prefix_of(value), lift))
        self.assertIn(True, started, "no host ever started: nothing was tried")
        self.assertIn(False, started, "every host started: the limits are no limits")

    @staticmethod
    def lift_of(which):
        """Raises it for all processes of a host. False: nobody without CAP_SYS_RESOURCE raises a hard limit."""

        def lift(host):
            most = resource.getrlimit(which)[1]
            try:
                for pid, _ in processes_of(host.state):
                    resource.prlimit(pid, which, (most, most if which == resource.RLIMIT_NOFILE else resource.prlimit(pid, which)[1]))
            except PermissionError:
                return False
            return True

        return lift

    def test_descriptors(self):
        values = range(8, 201) if SWEEP else (12, 39, 40, 100)
        self.sweep_starts(values, lambda n: ("prlimit", f"--nofile={n}:{n}"), self.lift_of(resource.RLIMIT_NOFILE))

    def test_too_few_descriptors_for_a_host_are_named_and_enough_of_them_move_a_partition(self):
        place = self.folder / "few"
        done = subprocess.run(["prlimit", "--nofile=39:39", BUILD / "vferryd", "--name", "few", "--state", place, "--device", DEVICE],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (1, "vferryd: 39 open files are allowed, and a host with 1 adapter needs 40; "
                                                             "give it a higher limit (LimitNOFILE=, ulimit -n)\n"))
        self.assertFalse(place.exists())
        enough, other = self.host("enough", DEVICE, prefix=("prlimit", "--nofile=40:40")), self.host("other")
        work = churn(1, size="1M")
        create(enough, "p", work, vram="8M")
        move(enough, other, "p", "--streams", 1)
        move(other, enough, "p", "--streams", 1)
        self.assert_works_to_its_end(enough, "p", work)

    @NEEDS_ADDRESS_SPACE
    def test_address_space(self):
        values = range(100, 3001, 100) if SWEEP else (100, 600, 900, 1800)
        self.sweep_starts(values, lambda n: ("prlimit", f"--as={n * MIB}:"), self.lift_of(resource.RLIMIT_AS))

    @NEEDS_PIDS
    def test_threads(self):
        groups = {}

        def prefix_of(threads):
            group = cgroups.Group("pids", "start")
            self.addCleanup(group.remove)
            group.write("pids.max", threads)
            groups["last"] = group
            return group.prefix

        values = range(1, 41) if SWEEP else (3, 8, 14, 18, 26)
        def lift(_):
            groups["last"].write("pids.max", "max")
            return True

        self.sweep_starts(values, prefix_of, lift)


if __name__ == "__main__":
    unittest.main()
