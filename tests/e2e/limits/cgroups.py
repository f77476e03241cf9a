# SPDX-License-Identifier: Apache-2.0
"""Control groups (version 1) for hosts: how many threads they may have, how much memory. A host has one of its own from its start."""
import itertools
import os
import pathlib
import signal

from e2e import wait_until

NUMBERS = itertools.count(1)  # tests go on beside each other
ROOT = pathlib.Path("/sys/fs/cgroup")


def why_not(controller):
    """Why no group can be made here; None when one can."""
    probe = ROOT / controller / f"vferry-probe-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        return f"no control group of {controller} can be made here: {error.strerror}"
    return None


class Group:
    """One group; `prefix` are words that execute a program in it. What it starts is in it too."""

    def __init__(self, controller, name):
        self.path = ROOT / controller / f"vferry-{os.getpid()}-{next(NUMBERS)}-{name}"
        self.path.mkdir()
        self.prefix = ("sh", "-c", f'echo $$ >{self.path}/cgroup.procs && exec "$@"', "sh")

    def read(self, what):
        return int((self.path / what).read_text(encoding="ascii"))

    def write(self, what, value):
        (self.path / what).write_text(str(value), encoding="ascii")

    def members(self):
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text(encoding="ascii").split()]

    def remove(self):
        """Whoever is left in it is ended."""
        for pid in self.members():
            os.kill(pid, signal.SIGKILL)
        wait_until("the group is empty", lambda: not self.members())
        self.path.rmdir()
