# SPDX-License-Identifier: Apache-2.0
"""The state directory's disk is full, for real: moves fail or wait, nothing is lost or doubled, and all goes on once there is space."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from e2e import Case, churn, create, partitions, state  # noqa: E402 (its place is known only now)
from harness import Host, wait_until  # noqa: E402
import e2e  # noqa: E402

TESTS_AT_ONCE = 3
DISK = "256k"
DEVICE = "softgpu,vram=64M,vfs=2,dirty-page=64K"
# A journal grows by a few hundred bytes a move, and a disk gives whole blocks: so many moves use up the last one.
MOVES = 40


def why_not():
    """Why no small disk can be made here; None when one can."""
    if os.geteuid() != 0:
        return "only root may mount a small disk"
    probe = pathlib.Path(f"/tmp/vferry-disk-{os.getpid()}")
    probe.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", probe], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        subprocess.run(["umount", probe], check=True)
    probe.rmdir()
    return done.stderr.strip() if done.returncode != 0 else None


WHY_NOT = why_not()


@unittest.skipIf(WHY_NOT is not None, WHY_NOT)
class FullDisk(Case):
    def on_disk(self, name):
        """A host whose state directory is a small disk of its own."""
        place = self.folder / name
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "tmpfs", place], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", place], check=True)
        host = Host(e2e.BUILD, name, [DEVICE], ["--silence", "1", "--redial", "3"], state=place)
        self.hosts.append(host)
        self.addCleanup(self.end, host)
        return host.start()

    @staticmethod
    def fill(host):
        with open(host.state / "filler", "ab", buffering=0) as file:
            for size in (4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass

    @staticmethod
    def free(host):
        (host.state / "filler").unlink()

    def goes_on(self, *full):
        """Moves to and fro until one finds no room; then there is some again."""
        hosts = {"left": self.on_disk("left"), "right": self.on_disk("right")}
        work = churn(12, size="2M", rate=2 << 20, seed=3)
        source, target = hosts.values()
        create(source, "p", work, vram="8M")
        for name in full:
            self.fill(hosts[name])
        for _ in range(MOVES):
            done = source.run("migrate", "p", "--to", target.address, "--max-blackout", 5000, code=None)
            if done.returncode != 0:
                break
            source, target = target, source
        self.assertIn(done.returncode, (1, 6), "the disk was never full" if done.returncode == 0 else done.stderr)
        running = [h.name for h in hosts.values() if "p" in partitions(h) and state(h, "p") == "running"]
        self.assertLessEqual(len(running), 1)
        if done.returncode == 1:
            self.assertEqual(running, [source.name], done.stderr)
            self.assertIn("journal: cannot be written: ", done.stderr)
        for name in full:
            self.free(hosts[name])
        wait_until("it runs on one host alone", lambda: sorted(partitions(source) + partitions(target)) == ["p"], 30)
        source, target = (source, target) if "p" in partitions(source) else (target, source)
        wait_until("it runs", lambda: state(source, "p") == "running", 30)
        wait_until("nobody works at it", lambda: all(job["status"] != "running" for host in hosts.values()
                                                     for job in host.json("job", "list")["jobs"]), 30)
        source.run("migrate", "p", "--to", target.address, "--max-blackout", 5000)
        self.assert_works_to_its_end(target, "p", work)

    def test_the_source_has_no_space(self):
        self.goes_on("left")

    def test_the_target_has_no_space(self):
        self.goes_on("right")

    def test_neither_has_space(self):
        self.goes_on("left", "right")

    def test_a_check_says_whose_state_directory_is_full(self):
        left, right = self.on_disk("left"), self.on_disk("right")
        create(left, "p", vram="8M")
        for host, side in ((right, "target"), (left, "source")):
            self.fill(host)
            told = json.loads(left.run("--json", "check", "p", "--to", right.address, code=7).stdout)
            self.assertTrue(told["full_now"])
            reason = [one for one in told["reasons"] if one["field"] == "state-directory"]
            self.assertEqual(len(reason), 1, told)
            self.assertIn("disk is full", reason[0][side])
            self.assertNotIn(reason[0]["remedy"], reason[0][side])  # it is told once
            (host.state / "filler").unlink()
        left.run("check", "p", "--to", right.address)


if __name__ == "__main__":
    unittest.main()
