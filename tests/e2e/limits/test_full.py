# SPDX-License-Identifier: Apache-2.0
"""A file system that is full: a host's state directory, or where an image is to go. The host says so in one line, loses nothing, logs
little, and works as before once there is room again."""
import contextlib
import os
import subprocess
import unittest

from e2e import BUILD, DEVICE, at_once
from limits import SWEEP, Limited
from harness import Host

# A state directory of this size has room for a history and a journal, and little else.
ROOM = 4 << 20
PAGE = 4096  # what such a file system gives at once

TESTS_AT_ONCE = at_once(2)


class Full(Limited):
    def small(self, name):
        """A directory on a file system of its own, of ROOM bytes."""
        place = self.folder / name
        place.mkdir(mode=0o700)
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=0700", "vferry-test", place],
                              capture_output=True, text=True, check=False)
        if made.returncode != 0:
            self.skipTest(f"no file system can be mounted here: {made.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", place], check=True)
        return place

    def fill(self, place, leave):
        """Takes all the room there but `leave` bytes; `lift` gives it back."""
        filler = place / "filler"
        for piece in (64 << 10, 512):
            with open(filler, "ab", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(piece))
        os.truncate(filler, max(filler.stat().st_size - leave, 0))
        self.lifts.append(filler.unlink)

    def small_pair(self):
        """Two hosts whose state directories are small; what they log goes elsewhere."""
        hosts = []
        for name in ("left", "right"):
            self.small(name)
            hosts.append(self.host(name, DEVICE, log=self.folder / f"{name}.log"))
        return hosts

    def host(self, name, *devices, **more):
        """As ever, but its directory is there already."""
        host = Host(BUILD, name, devices, state=self.folder / name, **more)
        self.hosts.append(host)
        self.addCleanup(self.end, host)
        return host.start()

    def logs(self):
        return super().logs() + sum(path.stat().st_size for path in self.folder.glob("*.log"))

    def everything(self, left, right, victim, number):
        """Where there is nothing left at all, a save says so and leaves no file."""
        super().everything(left, right, victim, number)
        for place, says in ((victim.state, "free some space in the state directory"), (self.images, "free some space there or save elsewhere")):
            if os.statvfs(place).f_bavail == 0:
                done = self.ask(victim, "save", "x", "--output", self.images / f"y{number}", "--keep")
                self.assertEqual(done.returncode, 1, done)
                self.assertIn("cannot be written: No space left on device; ", done.stderr)
                self.assertTrue(done.stderr.endswith(f"; {says}\n"), done.stderr)
                self.assertFalse((self.images / f"y{number}").exists())

    def test_state_directory(self):
        left, right = self.small_pair()
        leaves = [n * PAGE for n in (*range(17), 64, 256)] if SWEEP else (0,)
        self.sweep({f"{n} bytes left": lambda host, n=n: self.fill(host.state, n) for n in leaves}, left, right)

    def test_where_images_go(self):
        self.images = self.small("images")
        for name in ("left", "right"):
            (self.folder / name).mkdir(mode=0o700)
        leaves = [n * PAGE for n in (*range(17), 64, 256)] if SWEEP else (0,)
        self.sweep({f"{n} bytes left": lambda host, n=n: self.fill(self.images, n) for n in leaves}, self.host("left", DEVICE), self.host("right", DEVICE))


if __name__ == "__main__":
    unittest.main()
