# SPDX-License-Identifier: Apache-2.0
"""Save and restore (the contract's quick migration, SRC-8 and TGT-5 with no round): from any moment of a save or a restore the
partition is in one place whole, or in a whole file, or both; never in none."""
import os
import random
import re
import resource
import signal
import subprocess
import unittest

from e2e import BUILD, DEVICE, ROOT, Case, Work, begins, churn, create, finish, partitions, room, runs, show, state, steps
from harness import wait_until

TESTS_AT_ONCE = 3


class Saving(Case):
    def setUp(self):
        super().setUp()
        self.images = self.folder / "images"
        self.images.mkdir()

    def path(self, name="p.image"):
        return self.images / name

    def save(self, host, name="p", *options, file="p.image", code=0):
        path = self.path(file)
        return host.json("save", name, "--output", path, *options, code=code) if code == 0 else \
            host.run("save", name, "--output", path, *options, code=code)

    def restore(self, host, name="p", file="p.image", adapter=0, code=0):
        words = ["restore", name, "--input", self.path(file), "--adapter", adapter]
        return host.json(*words, code=code) if code == 0 else host.run(*words, code=code)

    def verify(self, file="p.image", code=0):
        """Without any host."""
        return subprocess.run([BUILD / "vferry", "image", "verify", self.path(file)], capture_output=True, text=True, check=False,
                              env={"PATH": os.environ["PATH"]}).returncode == code

    def assert_no_file(self):
        self.assertEqual(sorted(os.listdir(self.images)), [])


class There(Saving):
    def test_a_partition_saved_at_work_goes_on_on_another_host(self):
        left, right = self.pair()
        work = churn(3, size="16M")
        create(left, "p", work, vram="64M")
        begins(left, "p", 200)
        before, there = show(left, "p"), room(left)
        saved = self.save(left)
        self.assertEqual((saved["kind"], saved["status"], saved["target"]), ("save", "completed", f"file:{self.path()}"))
        self.assertEqual(partitions(left), [])
        self.assertNotEqual(room(left), there)
        self.assertTrue(self.verify())
        self.assertIn("was saved to", left.run("wait", "p", code=1).stderr)
        restored = self.restore(right)
        after = show(right, "p")
        self.assertEqual((after["uuid"], after["epoch"], after["state"]), (before["uuid"], before["epoch"] + 1, "running"))
        self.assertEqual((restored["kind"], restored["digest"]), ("restore", saved["digest"]))
        self.assertGreaterEqual(after["steps"], before["steps"])
        self.assertEqual(finish(right, "p"), work.want())

    def test_it_comes_back_to_its_own_host_again_and_again(self):
        left = self.host("left")
        work = churn(2)
        create(left, "p", work)
        begins(left, "p")
        epochs = []
        self.save(left)
        for _ in range(3):
            self.restore(left)
            epochs.append(show(left, "p")["epoch"])
            self.assertEqual(finish(left, "p"), work.want())
            left.run("partition", "remove", "p")
        self.assertEqual(epochs, sorted(set(epochs)))

    def test_with_keep_both_copies_end_right(self):
        left, right = self.pair()
        work = churn(3, size="16M")
        create(left, "p", work, vram="64M")
        begins(left, "p", 100)
        saved = self.save(left, "p", "--keep")
        self.assertGreater(saved["blackout_ns"], 0)
        self.assertEqual(sum(saved["blackout"].values()), saved["blackout_ns"])
        self.assertEqual(state(left, "p"), "running")
        runs(left, "p")
        restored = self.restore(right)
        self.assertEqual(finish(right, "p"), work.want())
        self.assertEqual(finish(left, "p"), work.want())
        self.assertIn(f"makes a second one with UUID {show(left, 'p')['uuid']}", saved["warning"])
        self.assertIn("ran on at host left when it was saved; if that one is still somewhere there are two", restored["warning"])
        for host, job in ((left, saved), (right, restored)):
            told = [event["text"] for event in host.json("events")["events"]]
            self.assertTrue(any(job["warning"] in text for text in told), told)

    def test_a_second_restore_of_one_image_warns_of_two(self):
        left, right = self.pair()
        create(left, "p")
        self.assertEqual(self.save(left)["warning"], "")
        self.assertEqual(self.restore(right)["warning"], "")
        right.run("partition", "remove", "p")
        done = right.run("restore", "p", "--input", self.path(), "--adapter", 0)
        self.assertIn("vferry: warning: this host has had partition p since the image was made", done.stderr)

    def test_an_image_of_a_partition_at_work_is_of_one_moment(self):
        """Saved over and over while it writes: each image is whole and ends right."""
        left, right = self.pair()
        work = churn(2, size="8M", rate=32 << 20)
        create(left, "p", work)
        begins(left, "p")
        for i in range(4):
            self.save(left, "p", "--keep", file=f"{i}.image")
        for i in range(4):
            self.assertTrue(self.verify(f"{i}.image"))
            self.restore(right, file=f"{i}.image")
            self.assertEqual(finish(right, "p"), work.want())
            right.run("partition", "remove", "p")

    def test_a_paused_partition_comes_back_paused(self):
        left, right = self.pair()
        work = churn(1)
        create(left, "p", work)
        begins(left, "p")
        left.run("partition", "pause", "p")
        stands = steps(left, "p")
        self.save(left, "p", "--keep")
        self.assertEqual((state(left, "p"), steps(left, "p")), ("paused", stands))
        self.restore(right)
        self.assertEqual((state(right, "p"), steps(right, "p")), ("paused", stands))
        right.run("partition", "resume", "p")
        self.assertEqual(finish(right, "p"), work.want())

    def test_untouched_vram_takes_no_room_in_the_file(self):
        left, right = self.pair()
        work = Work("fill", size="2M", seed=5)
        create(left, "p", work, vram="200M")
        finish(left, "p")
        self.save(left)
        self.assertLess(self.path().stat().st_size, 4 << 20)
        self.restore(right)
        self.assertEqual(finish(right, "p"), work.want())

    def test_hardware_that_does_not_track_all_the_time_saves_too(self):
        """CAP-4: then all of the reserve is read, and what is zero stays out of the file."""
        device = DEVICE + ",performant=off"
        left, right = self.pair(device)
        work = churn(2)
        create(left, "p", work, vram="64M")
        begins(left, "p")
        self.save(left)
        self.assertLess(self.path().stat().st_size, 24 << 20)
        self.restore(right)
        self.assertEqual(finish(right, "p"), work.want())

    def test_a_restored_partition_moves_and_is_saved_like_any_other(self):
        left, right = self.pair()
        work = churn(4)
        create(left, "p", work)
        begins(left, "p")
        self.save(left)
        self.restore(right)
        right.run("migrate", "p", "--to", left.address, "--max-blackout", 20000)
        self.save(left, file="again.image")
        self.restore(right, file="again.image")
        self.assertEqual(finish(right, "p"), work.want())

    def test_jobs_tell_of_both(self):
        left = self.host("left")
        create(left, "p")
        self.save(left)
        self.restore(left, "q")
        kinds = [(job["kind"], job["partition"], job["status"]) for job in left.json("job", "list")["jobs"]]
        self.assertEqual(kinds, [("restore", "q", "completed"), ("save", "p", "completed")])
        left.kill()
        left.start()
        self.assertEqual([(job["kind"], job["status"]) for job in left.json("job", "list")["jobs"]],
                         [("restore", "completed"), ("save", "completed")])

    def test_an_image_is_explained_without_a_host(self):
        left = self.host("left")
        create(left, "p", vram="64M")
        uuid = show(left, "p")["uuid"]
        self.save(left)
        left.stop()
        done = subprocess.run([BUILD / "vferry", "--json", "image", "info", self.path()], capture_output=True, text=True, check=True)
        for told in ('"partition":"p"', uuid, '"host":"left"', '"vram_bytes":67108864', '"device":"softgpu'):
            self.assertIn(told, done.stdout)


class Refused(Saving):
    def test_a_file_that_is_there_is_never_replaced(self):
        left = self.host("left")
        work = churn(1)
        create(left, "p", work)
        self.path().write_text("dear to somebody")
        self.assertIn("never replaced", self.save(left, code=1).stderr)
        self.assertEqual(self.path().read_text(), "dear to somebody")
        self.assert_works_to_its_end(left, "p", work)

    def test_places_that_cannot_be(self):
        left = self.host("left")
        create(left, "p")
        for path in ("/nowhere/p.image", "/proc/p.image", f"{self.images}/", f"{self.images}/.."):
            done = left.run("save", "p", "--output", path, code=None)
            self.assertIn(done.returncode, (1, 2), path)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1)
        self.assertEqual(state(left, "p"), "running")
        self.assert_no_file()

    def test_every_reason_is_told_as_full_now_or_as_never_and_leaves_nothing(self):
        left = self.host("left", DEVICE + ",fw=1.2")
        create(left, "p", churn(1), vram="64M")
        self.save(left, "p", "--keep")
        targets = {
            "uuid": left,
            "name": self.host("named", DEVICE + ",fw=1.2"),
            "vram": self.host("small", "softgpu,vram=64M,vfs=4,dirty-page=64K,fw=1.2"),
            "vf": self.host("full", "softgpu,vram=256M,vfs=1,dirty-page=64K,fw=1.2"),
            "dirty-page": self.host("fine", "softgpu,vram=256M,vfs=4,dirty-page=4K,fw=1.2"),
        }
        create(targets["name"], "p")
        create(targets["vf"], "sitter")
        create(targets["vram"], "sitter")
        for field, host in targets.items():
            before = room(host), partitions(host)
            self.assertIn(f"{field}: ", self.restore(host, code=7 if field in ("vf", "vram") else 3).stderr)
            self.assertEqual((room(host), partitions(host)), before)
            job = host.json("job", "show", host.json("job", "list")["jobs"][0]["job"])
            self.assertEqual((job["kind"], job["status"]), ("restore", "failed"))
            self.assertIn(field, [reason["field"] for reason in job["reasons"]])
        self.assertIn("adapter", self.restore(targets["name"], "q", adapter=7, code=None).stderr)

    def test_older_firmware(self):
        left, right = self.host("left", DEVICE + ",fw=1.2"), self.host("right", DEVICE + ",fw=1.1")
        create(left, "p")
        self.save(left)
        before = room(right)
        self.assertIn("1.1", self.restore(right, code=3).stderr)
        self.assertEqual(room(right), before)

    def test_two_jobs_of_one_partition(self):
        left = self.host("left")
        work = Work("fill", size="128M", seed=1)
        create(left, "p", work, vram="160M")
        finish(left, "p")
        saving = left.spawn("save", "p", "--output", self.path("1.image"), "--keep")
        saving.stdout.readline()
        done = left.run("save", "p", "--output", self.path("2.image"), code=None)
        saving.communicate(timeout=60)
        self.assertEqual(saving.returncode, 0)
        if done.returncode == 1:  # else the first had ended before
            self.assertIn("works on it already", done.stderr)
            self.assertFalse(self.path("2.image").exists())
            self.assertEqual(state(left, "p"), "running")

    def damaged(self, right, spoil, code=1):
        data = bytearray(self.path().read_bytes())
        self.path("bad.image").write_bytes(spoil(data))
        before = room(right), partitions(right)
        done = self.restore(right, file="bad.image", code=code)
        self.assertIn(f"image {self.path('bad.image')}", done.stderr)
        self.assertIn(f"nothing is left of it at host {right.name}, the image is as it was", done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1)
        self.assertEqual((room(right), partitions(right)), before)
        self.assertTrue(self.verify("bad.image", code))
        return done.stderr

    def test_cut_and_changed_files(self):
        seed = int(os.environ.get("VF_SEED", random.randrange(1 << 32)))
        print(f"# VF_SEED={seed}")
        draw = random.Random(seed)
        left, right = self.pair()
        work = churn(2, size="4M")
        create(left, "p", work)
        begins(left, "p")
        self.save(left)
        size = self.path().stat().st_size

        def flip(data):
            data[draw.randrange(size)] ^= 1 << draw.randrange(8)
            return data
        for _ in range(25):
            self.damaged(right, flip)
            self.damaged(right, lambda data: data[:draw.randrange(size)])
        # What is no image, or not all of one, is a slip of the hand: it makes no job.
        jobs = right.json("job", "list")["jobs"]
        self.assertIn("cut", self.damaged(right, lambda data: data[:-1]))
        self.assertIn("no image", self.damaged(right, lambda data: b"P5\n" + bytes(1000)))
        self.damaged(right, lambda data: b"")
        self.assertEqual(right.json("job", "list")["jobs"], jobs)
        # All that time the image itself was as good as ever.
        self.restore(right)
        self.assertEqual(finish(right, "p"), work.want())


# What the live line calls the phases of a job (cli/output/phase.c).
LABELS = dict(re.findall(r'\{"([\w-]+)", "([^"]+)",', (ROOT / "cli/output/phase.c").read_text(encoding="ascii")))


class Ends(Saving):
    """Saves and restores that end in the middle."""

    def at_work(self, host, size="128M", vram="192M"):
        """Enough content that a save of it lasts a while."""
        self.work = Work("churn", size=size, rate=64 << 20, steps=80000, seed=9)
        create(host, "p", self.work, vram=vram)
        begins(host, "p", 33000)  # every page has been written by then

    def phase(self, spawned, names, late=False):
        """Reads until it is there; what is too quick to be seen may be over when `late` allows it."""
        for line in spawned.stdout:
            if any(line.startswith(LABELS[name]) for name in names):
                return
        if not late:
            self.fail(f"never came to {names}: {spawned.stderr.read()}")

    def settled(self, host):
        """Partitions once the kernel side has done what a dead daemon had asked of it."""
        wait_until("nothing is dying", lambda: not {"dying", "building"} & {p["state"] for p in host.json("partition", "list")["partitions"]}, 20)
        return partitions(host)

    def test_a_full_disk(self):
        left = self.host("left")
        self.at_work(left, "32M", "64M")
        before = room(left)
        for limit in (0, 1 << 10, 1 << 20, 20 << 20):
            resource.prlimit(left.process.pid, resource.RLIMIT_FSIZE, (limit if limit >= 1 << 16 else 1 << 16, resource.RLIM_INFINITY))
            self.assertIn("cannot be written", self.save(left, code=1).stderr)
            self.assert_no_file()
            self.assertEqual((state(left, "p"), room(left)), ("running", before))
        resource.prlimit(left.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.save(left)
        self.restore(left)
        self.assertEqual(finish(left, "p"), self.work.want())

    @unittest.skipUnless(os.geteuid() == 0, "needs to mount")
    def test_a_small_file_system(self):
        left = self.host("left")
        self.at_work(left, "32M", "64M")
        small = self.folder / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", small], check=False, capture_output=True).returncode != 0:
            self.skipTest("may not mount")
        self.addCleanup(subprocess.run, ["umount", small], check=True)
        done = left.run("save", "p", "--output", small / "p.image", code=1)
        self.assertIn("No space left on device", done.stderr)
        self.assertEqual(os.listdir(small), [])
        self.assertEqual(os.statvfs(small).f_bfree, os.statvfs(small).f_blocks)
        self.assert_works_to_its_end(left, "p", self.work)

    def test_control_c(self):
        left = self.host("left")
        self.at_work(left)
        saving = left.spawn("save", "p", "--output", self.path())
        self.phase(saving, ("pages",))
        saving.send_signal(signal.SIGINT)
        _, err = saving.communicate(timeout=60)
        self.assertEqual(saving.returncode, 4, err)
        self.assertIn("partition p runs on at host left and there is no image", err)
        self.assert_no_file()
        self.assertEqual(left.json("job", "list")["jobs"][0]["status"], "cancelled")
        self.assert_works_to_its_end(left, "p", self.work)

    def test_a_cancelled_restore_leaves_nothing(self):
        left = self.host("left")
        self.at_work(left)
        self.save(left)
        before = room(left)
        restoring = left.spawn("restore", "p", "--input", self.path(), "--adapter", 0)
        self.phase(restoring, ("pages",))
        restoring.send_signal(signal.SIGINT)
        _, err = restoring.communicate(timeout=60)
        self.assertEqual(restoring.returncode, 4, err)
        self.assertEqual((partitions(left), room(left)), ([], before))
        self.restore(left)
        self.assertEqual(finish(left, "p"), self.work.want())

    def test_the_daemon_killed_in_a_save(self):
        """At any moment: the partition runs here, or the file is whole; and no file that is not whole."""
        left = self.host("left")
        self.at_work(left)
        for phase in ("prepare", "pages", "pages", "disk", "name", "commit"):
            with self.subTest(phase=phase):
                saving = left.spawn("save", "p", "--output", self.path())
                self.phase(saving, (phase, "disk", "name", "commit"), late=True)
                left.kill()
                _, err = saving.communicate(timeout=60)
                self.assertIn(saving.returncode, (0, 5, 6), err)
                left.start()
                there = self.path().exists()
                self.assertEqual(sorted(os.listdir(self.images)), ["p.image"] if there else [])
                if there:
                    self.assertTrue(self.verify())
                if self.settled(left) == []:
                    self.assertTrue(there, "neither a partition nor a file")
                    self.assertEqual(left.json("job", "list")["jobs"][0]["status"], "completed")
                    self.restore(left)
                self.assertEqual(state(left, "p"), "running")
                if there:
                    self.path().unlink()
        self.assertEqual(finish(left, "p"), self.work.want())

    def test_the_daemon_killed_in_a_restore(self):
        left = self.host("left")
        self.at_work(left)
        self.save(left)
        before = room(left)
        for phase in ("verify", "admit", "pages", "state"):
            with self.subTest(phase=phase):
                restoring = left.spawn("restore", "p", "--input", self.path(), "--adapter", 0)
                self.phase(restoring, (phase, "state", "ready", "commit"), late=True)
                left.kill()
                restoring.communicate(timeout=60)
                left.start()
                self.assertTrue(self.verify())
                if self.settled(left) == []:
                    wait_until("nothing is left", lambda: room(left) == before, 20)
                else:  # it had committed
                    self.assertEqual(state(left, "p"), "running")
                    left.run("partition", "remove", "p")
        self.restore(left)
        self.assertEqual(finish(left, "p"), self.work.want())

    def test_a_daemon_asked_to_end_cancels(self):
        left = self.host("left")
        self.at_work(left)
        saving = left.spawn("save", "p", "--output", self.path())
        self.phase(saving, ("pages",))
        left.kill(signal.SIGTERM)
        _, err = saving.communicate(timeout=60)
        self.assertEqual(saving.returncode, 1, err)  # nobody called it off
        self.assertIn("then repeat the save", err)
        self.assert_no_file()
        left.start()
        self.assert_works_to_its_end(left, "p", self.work)

    def test_the_kernel_side_killed_in_a_save(self):
        """The host has crashed: no file claims to be whole."""
        left = self.host("left")
        self.at_work(left)
        saving = left.spawn("save", "p", "--output", self.path())
        self.phase(saving, ("pages",))
        os.kill(left.kernel_pid, signal.SIGKILL)
        saving.communicate(timeout=60)
        self.assertNotEqual(saving.returncode, 0)
        self.assert_no_file()


if __name__ == "__main__":
    unittest.main()
