# SPDX-License-Identifier: Apache-2.0
"""The state directory's file system becomes read-only while a host runs: a check says so, a move fails in one line, the partition runs on."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from e2e import BUILD, Case, at_once, churn, create, finish, partitions, runs, state  # noqa: E402 (their place is known only now)
from harness import Host  # noqa: E402
from recovery import DEVICE, Recovery  # noqa: E402

TESTS_AT_ONCE = at_once(3)
CANNOT = "journal: cannot be written: Read-only file system; remount the state directory's disk for writing"


class Told:
    """What `left` says of a move of its partition p to `right`, while one of them cannot write."""

    def check_says(self, side):
        told = json.loads(self.left.run("--json", "check", "p", "--to", self.right.address, code=7).stdout)
        reason = [one for one in told["reasons"] if one["field"] == "state-directory"]
        self.assertEqual(len(reason), 1, told)
        self.assertEqual(reason[0][side], "the state directory's disk is read-only")
        self.assertEqual(reason[0]["remedy"], "remount it for writing")
        said = self.left.run("check", "p", "--to", self.right.address, code=7).stderr
        self.assertEqual(len(said.splitlines()), 1, said)
        self.assertIn("disk is read-only", said)

    def move_fails(self):
        said = self.left.run("migrate", "p", "--to", self.right.address, "--max-blackout", 20000, code=1).stderr
        self.assertEqual(len(said.splitlines()), 1, said)
        self.assertIn(CANNOT, said)
        self.assertEqual(state(self.left, "p"), "running")
        self.assertEqual(partitions(self.right), [])
        runs(self.left, "p")


class Disk(Told, Case):
    """A disk with an error, for real: ext4 stops taking anything, and does not call itself read-only everywhere (emergency_ro)."""

    def on_disk(self, name):
        """A host whose state directory is an ext4 of its own, and what breaks that."""
        place, image = self.folder / name, self.folder / f"{name}.img"
        place.mkdir()
        image.touch()
        os.truncate(image, 16 << 20)
        for command in (["mkfs.ext4", "-q", "-F", image], ["mount", "-o", "loop,errors=remount-ro", image, place]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                self.skipTest(f"no ext4 can be mounted here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", place], check=True)
        device = subprocess.run(["findmnt", "-no", "SOURCE", place], capture_output=True, text=True, check=True).stdout.strip()
        trigger = pathlib.Path("/sys/fs/ext4", pathlib.Path(device).name, "trigger_fs_error")
        if not trigger.exists():
            self.skipTest(f"{trigger} is not there")
        place.chmod(0o700)
        host = Host(BUILD, name, [DEVICE], ["--silence", "1", "--redial", "3"], state=place, log=self.folder / f"{name}.log")
        self.hosts.append(host)
        self.addCleanup(host.stop)
        host.start()
        return host, lambda: trigger.write_text("1", encoding="ascii")

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("mkfs.ext4") and shutil.which("findmnt"), "only root may mount an ext4")
    def test_of_either_host(self):
        (self.left, break_left), (self.right, break_right) = self.on_disk("left"), self.on_disk("right")
        work = churn(4, size="2M", rate=2 << 20, seed=3)
        create(self.left, "p", work, vram="8M")
        self.left.run("check", "p", "--to", self.right.address)
        break_right()
        self.check_says("target")
        self.move_fails()
        break_left()
        self.check_says("source")
        self.move_fails()
        self.assertEqual(finish(self.left, "p"), work.want())


class Injected(Told, Recovery):
    """The same where no disk can be broken: the calls are answered as by such a disk."""

    MAY_SAY = (*Recovery.MAY_SAY, "Read-only file system")
    ONCE = "point=journal.write,of=OPEN:EROFS;point=journal.cut:EROFS"

    def test_a_check_says_so_of_the_source(self):
        self.pair(source="point=journal.touch,nth=1+:EROFS")
        self.check_says("source")

    def test_a_check_says_so_of_the_target(self):
        self.pair(target="point=journal.touch,nth=1+:EROFS")
        self.check_says("target")

    def fails_once(self, **broken):
        self.pair(**broken)
        self.move_fails()
        code, said = self.over(self.migrate())
        self.assertEqual(code, 0, said)
        self.ends_on_the_right()

    def test_a_move_fails_and_the_next_one_goes_when_the_source_s_disk_takes_writes_again(self):
        self.fails_once(source=self.ONCE)

    def test_a_move_fails_and_the_next_one_goes_when_the_target_s_disk_takes_writes_again(self):
        self.fails_once(target=self.ONCE)


if __name__ == "__main__":
    unittest.main()
