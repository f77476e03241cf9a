# SPDX-License-Identifier: Apache-2.0
"""What the tests of hosts that die in a hand-off share: a pair whose daemons carry a fault, its deaths, and how it must end.

With VF_REWORD=1 the daemons word every text otherwise, the journal's too: all must come out alike, for no decision rests on what is
written for people. What the texts say is not looked at then.
"""
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from e2e import BUILD, WRONG, Case, begins, churn, create, finish, partitions, runs, state, steps  # noqa: E402 (their place is known only now)
from harness import PATIENCE, Host, pid_gone, wait_until  # noqa: E402

DEVICE = "softgpu,vram=64M,vfs=2,dirty-page=64K"
FAULTS = "tests/faults/vferryd-faults"
SILENCE_S, REDIAL_S = (1, 2) if PATIENCE == 1 else (5, 5)
BLACKOUT_MS = 20000
REWORD = os.environ.get("VF_REWORD") == "1"
# A target waits as long as its source tries, and some silences more, before it calls the outcome unknown.
UNKNOWN_S = REDIAL_S + 4 * SILENCE_S + 20


class Recovery(Case):
    # Errors that the faults here may well bring into a log.
    MAY_SAY = ("kernel side", "CONTRADICTION", "cannot be brought")

    def host(self, name, fault=None, **more):
        place = self.folder / name
        place.mkdir()
        host = Host(BUILD, name, (DEVICE,), state=place, program=FAULTS,
                    options=["--silence", str(SILENCE_S), "--redial", str(REDIAL_S)], **more)
        host.gate = self.folder / f"{name}.gate"
        os.mkfifo(host.gate)
        host.told = self.folder / f"{name}.told"
        self.arm(host, f"gate={host.gate}", *([fault] if fault else []))
        self.hosts.append(host)
        self.addCleanup(self.end, host)
        return host.start()

    def arm(self, host, *faults):
        """As the daemon's next start finds it."""
        host.env = {"VFERRY_FAULT": ";".join([f"log={host.told}", *faults] + (["reword"] if REWORD else []))}

    def assertIn(self, member, container, msg=None):
        if not (REWORD and isinstance(container, str)):
            super().assertIn(member, container, msg)

    def assertRegex(self, text, expected_regex, msg=None):
        if not REWORD:
            super().assertRegex(text, expected_regex, msg)

    def end(self, host):
        host.stop()
        if REWORD:
            return  # what a log may say is told by its words
        for log in host.state.glob("*.log"):
            wrong = [line for line in WRONG.findall(log.read_text(errors="replace"))
                     if not any(word in line for word in self.MAY_SAY)]
            self.assertEqual(wrong, [], f"{host.name}: {log.name}")

    def pair(self, source=None, target=None):
        self.left, self.right = self.host("left", source), self.host("right", target)
        self.work = churn(1.5, size="2M", rate=4 << 20, seed=len(self.id()))
        create(self.left, "p", self.work, vram="8M")
        begins(self.left, "p")
        return self.left, self.right

    def migrate(self, to=None):
        return self.left.spawn("migrate", "p", "--to", to or self.right.address, "--max-blackout", BLACKOUT_MS)

    def over(self, moving):
        out, err = moving.communicate(timeout=90)
        return moving.returncode, out + err

    def fired(self, host):
        wait_until(f"{host.name}'s fault", lambda: host.told.exists() and "fired" in host.told.read_text(), 60)

    def dies(self, host):
        """By its own hand, at the point that it was given."""
        host.process.wait(60)

    def again(self, *hosts):
        for host in hosts:
            self.arm(host)
            host.start()

    def crash(self, host):
        """The host loses its kernel side; its daemon ends by itself."""
        if not pid_gone(host.kernel_pid):
            os.kill(host.kernel_pid, signal.SIGKILL)
        wait_until("the kernel side is gone", lambda: pid_gone(host.kernel_pid), 10)

    def open_gate(self, host):
        def opened():
            try:
                os.close(os.open(host.gate, os.O_WRONLY | os.O_NONBLOCK))
                return True
            except OSError:
                return False
        wait_until(f"{host.name} stands at its gate", opened, 60)

    def job(self, host):
        jobs = host.json("job", "list")["jobs"]
        return jobs[0] if jobs else {"status": "none", "job": 0, "reason": ""}

    def settles(self, host, status, timeout=60):
        wait_until(f"{host.name}'s job is {status}", lambda: self.job(host)["status"] == status, timeout)

    def running(self, host):
        """In one look: a copy may go between two."""
        return {"name": "p", "state": "running"}.items() <= next(iter(host.json("partition", "list")["partitions"]), {}).items()

    def runs_only(self, host, other):
        """One copy, and it is the right one."""
        wait_until(f"it runs on {host.name}", lambda: self.running(host), 60)
        wait_until(f"{other.name} has it no more", lambda: "p" not in partitions(other), 30)
        runs(host, "p")
        self.assertEqual(finish(host, "p"), self.work.want())

    def ends_on_the_left(self, status="failed"):
        self.runs_only(self.left, self.right)
        self.settles(self.left, status)
        self.assertIn(self.job(self.right)["status"], ("none", "failed"))

    def ends_on_the_right(self):
        self.runs_only(self.right, self.left)
        self.settles(self.left, "completed")
        self.settles(self.right, "completed")

    def stands(self, host):
        self.assertNotEqual(state(host, "p"), "running")
        self.assertEqual(steps(host, "p"), steps(host, "p"))

    def resolve(self, host, who, code=0):
        return host.run("--json", "job", "resolve", self.job(host)["job"], f"--{who}-runs", code=code)
