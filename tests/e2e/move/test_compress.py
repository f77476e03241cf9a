# SPDX-License-Identifier: Apache-2.0
"""Moves and images whose pages are packed: fewer bytes, the same content, and nothing packed where it would not get smaller."""
import unittest

from e2e import BUILD, Case, Work, at_once, begins, create, finish, move, reference

TESTS_AT_ONCE = at_once(2)
WIDTH, HEIGHT = 1024, 2048


class Compress(Case):
    def setUp(self):
        super().setUp()
        self.picture = self.folder / "ramp.pgm"  # of few shades in long rows, as drawings have them
        rows = b"".join(bytes((x // 64 + y // 128) % 256 for x in range(WIDTH)) for y in range(HEIGHT))
        self.picture.write_bytes(b"P5\n%d %d\n255\n" % (WIDTH, HEIGHT) + rows)

    def wide(self):
        """As the other picture, 64 MiB of it in VRAM."""
        path = self.folder / "wide.pgm"
        row = bytes(x // 64 % 256 for x in range(4096))
        path.write_bytes(b"P5\n4096 2048\n255\n" + row * 2048)
        return path

    def drawing(self, host, steps=3):
        """p, which has finished a picture; its digest."""
        work = Work("diffuse", input=self.picture, steps=steps)
        create(host, "p", work, vram="64M")
        digest = finish(host, "p")
        self.assertEqual(digest, reference(BUILD, *work.words())["digest"])
        return digest

    def payload(self, job):
        return job["pages_sent"] * job["page_bytes"]

    def test_a_drawing_travels_in_a_fraction_of_its_bytes_and_arrives_whole(self):
        left, right = self.pair()
        digest = self.drawing(left)
        plain = move(left, right, "p")
        self.assertEqual(plain["compression"], "none")
        self.assertGreater(plain["bytes_sent"], 8 << 20)
        for source, target, way in ((right, left, "lz4"), (left, right, "zstd")):
            job = move(source, target, "p", "--compress", way)
            self.assertEqual(job["compression"], way)
            self.assertLess(job["bytes_sent"], plain["bytes_sent"] / 3)
            arrival = target.json("job", "list")["jobs"][0]["job"]
            self.assertEqual(target.json("job", "watch", arrival, timeout=60)["digest"], job["digest"])
            self.assertNotEqual(job["digest"], plain["digest"])  # each move has a key of its own
            self.assertEqual(finish(target, "p"), digest)

    def test_auto_packs_when_the_link_is_what_is_waited_for(self):
        left, right = self.pair("softgpu,vram=1G,vfs=2")
        work = Work("diffuse", input=self.wide(), steps=1)
        create(left, "p", work, vram="256M")
        digest = finish(left, "p")
        plain = move(left, right, "p")
        self.assertGreater(plain["bytes_sent"], 60 << 20)
        slow = move(right, left, "p", "--compress", "auto", "--bandwidth", "32M")
        self.assertLess(slow["bytes_sent"], plain["bytes_sent"] * 0.7)  # a way is judged by 8 MiB, on each of two streams
        self.assertEqual(finish(left, "p"), digest)

    def test_a_full_verification_fits_the_limit_that_it_would_fit_without(self):
        left, right = self.pair("softgpu,vram=1G,vfs=2")
        create(left, "p", Work("diffuse", input=self.wide(), steps=1), vram="256M")
        finish(left, "p")
        job = move(left, right, "p", "--compress", "zstd", "--verify", "full", "--bandwidth", "2M")
        self.assertEqual((job["status"], job["verify"]), ("completed", "full"))

    def test_noise_is_sent_as_it_is(self):
        left, right = self.pair()
        create(left, "p", Work("fill", size="24M"), vram="64M")
        digest = finish(left, "p")
        plain = move(left, right, "p")
        for source, target, way in ((right, left, "lz4"), (left, right, "zstd"), (right, left, "auto")):
            job = move(source, target, "p", "--compress", way)
            self.assertLess(job["bytes_sent"], plain["bytes_sent"] * 1.01)
            self.assertGreater(job["bytes_sent"], plain["bytes_sent"] * 0.9)
            self.assertEqual(finish(target, "p"), digest)

    def test_it_goes_on_while_the_partition_writes(self):
        left, right = self.pair()
        work = Work("diffuse", input=self.picture, steps=400)
        create(left, "p", work, vram="64M")
        begins(left, "p", 2)
        for source, target, way in ((left, right, "lz4"), (right, left, "zstd"), (left, right, "auto")):
            move(source, target, "p", "--compress", way)
        self.assert_works_to_its_end(right, "p", work)

    def test_a_packed_image_is_smaller_and_restores_the_same(self):
        left = self.host("left")
        digest = self.drawing(left)
        sizes, images = {}, []
        for way in ("none", "lz4", "zstd", "auto"):
            image = self.folder / f"{way}.image"
            saved = left.json("save", "p", "--output", image, "--keep", "--compress", way)
            self.assertEqual(saved["compression"], way)
            sizes[way] = image.stat().st_size
            images.append((image, saved["digest"]))
            left.run("image", "verify", image)
        self.assertLess(sizes["lz4"], sizes["none"] / 3)
        self.assertLess(sizes["zstd"], sizes["lz4"])
        left.run("partition", "remove", "p")
        for image, saved in images:
            self.assertEqual(left.json("restore", "p", "--input", image, "--adapter", 0)["digest"], saved)
            self.assertEqual(finish(left, "p"), digest)
            left.run("partition", "remove", "p")

    def test_what_is_no_way_to_compress_is_refused_before_there_is_a_job(self):
        left, right = self.pair()
        create(left, "p")
        for words in (["migrate", "p", "--to", right.address], ["save", "p", "--output", self.folder / "x"]):
            refused = left.run(*words, "--compress", "gzip", code=2).stderr
            self.assertIn("--compress gzip: is no way to compress; say none, lz4, zstd or auto", refused)
        self.assertEqual(left.json("job", "list")["jobs"], [])
        self.assertFalse((self.folder / "x").exists())


if __name__ == "__main__":
    unittest.main()
