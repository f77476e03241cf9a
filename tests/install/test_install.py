#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An installed tree, moved as a whole, works; and a driver author gets by with what it contains (docs/driver-guide.md)."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import harness  # noqa: E402 (its place is known only now)

BUILD = pathlib.Path(os.environ["VF_BUILD"])


def command(*words, **options):
    """Its output; a failure shows what it said."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=120, check=False,
                          stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="vferry-install-"))
        command("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", cls.work / "stage")
        # Below the stage lies the prefix that the build was made for.
        programs = list((cls.work / "stage").rglob("bin/vferryd"))
        assert len(programs) == 1, programs
        cls.prefix = cls.work / "moved"
        (programs[0].parents[1]).rename(cls.prefix)
        cls.pc = next(cls.prefix.rglob("vferry-driver.pc"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.work, ignore_errors=True)

    def pkg_config(self, *words):
        return command("pkg-config", f"--define-variable=prefix={self.prefix}", *words, "vferry-driver",
                       env={**os.environ, "PKG_CONFIG_PATH": str(self.pc.parent)}).strip()

    def build_null(self, name="mine"):
        """The example, copied out of the installed tree and built by its own Makefile."""
        example = next(self.prefix.rglob("examples/null/null.c")).parent
        copy = self.work / name
        shutil.copytree(example, copy)
        (copy / "null.c").rename(copy / f"{name}.c")
        # The Makefile asks pkg-config, which is told where the tree has gone.
        script = self.work / "bin" / "pkg-config"
        script.parent.mkdir(exist_ok=True)
        script.write_text(f'#!/bin/sh\nPKG_CONFIG_PATH={self.pc.parent} exec {shutil.which("pkg-config")} '
                          f'--define-variable=prefix={self.prefix} "$@"\n', encoding="ascii")
        script.chmod(0o755)
        command("make", "-C", copy, f"NAME={name}", env={**os.environ, "PATH": f"{script.parent}:{os.environ['PATH']}"})
        return copy / f"{name}.so"

    def test_a_host_runs_from_the_installed_place(self):
        with harness.Host(self.prefix / "bin", "installed", devices=["softgpu,vram=64M,vfs=1"]) as host:
            self.assertTrue(host.json("adapter", "list")["adapters"][0]["live_migration"])
            host.run("partition", "create", "p", "--adapter", "0", "--vram", "16M")
            host.run("run", "p", "fill", "--size", "1M", "--seed", "3")
            done = host.json("wait", "p")
            kernel = os.readlink(f"/proc/{host.kernel_pid}/exe")
        self.assertEqual(done["digest"],
                         harness.reference(self.prefix / "bin", "fill", "--size", "1M", "--seed", "3")["digest"])
        self.assertTrue(kernel.startswith(str(self.prefix)), kernel)

    def test_a_driver_built_out_of_tree_is_loaded(self):
        driver = self.build_null()
        with harness.Host(self.prefix / "bin", "author", devices=["softgpu,vram=64M,vfs=1"],
                          options=["--driver", str(driver)]) as host:
            self.assertEqual(host.json("driver", "show", "0")["driver"], str(driver))
            adapter = host.json("adapter", "show", "0")
            self.assertFalse(adapter["live_migration"])
            self.assertEqual(adapter["vf_count"], 0)
            refused = host.run("partition", "create", "p", "--adapter", "0", "--vram", "16M", code=1)
            self.assertIn("cannot be partitioned", refused.stderr)

    def test_the_flags_make_windows_types(self):
        source = self.work / "types.c"
        source.write_text('#include "wdm.h"\n#include "d3dkmddi.h"\n#include "softgpu/hw.h"\n#include "vferry/device.h"\n'
                          "_Static_assert(sizeof(WCHAR) == 2 && sizeof(LONG) == 4 && sizeof(SIZE_T) == 8, \"Windows x64\");\n",
                          encoding="ascii")
        command("cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-c", source, "-o", self.work / "types.o",
                *self.pkg_config("--cflags").split())
        self.assertTrue(pathlib.Path(self.pkg_config("--variable=driverdir"), "softgpu.so").exists())

    def test_the_schemas_are_there(self):
        there = {path.name for path in self.prefix.rglob("share/vferry/schema/*.json")}
        self.assertEqual(there, {path.name for path in (ROOT / "docs/schema").iterdir()})

    def test_shells_find_their_completion(self):
        for shell, place in (("bash", "bash-completion/completions/vferry"), ("zsh", "zsh/site-functions/_vferry"),
                             ("fish", "fish/vendor_completions.d/vferry.fish")):
            self.assertEqual((self.prefix / "share" / place).read_text(encoding="utf-8"),
                             command(self.prefix / "bin/vferry", "completion", shell))

    def test_the_manuals_and_the_unit_are_there(self):
        for page in ("vferry.1", "vferryd.8", "vferry-kernel.8"):
            self.assertEqual(len(list(self.prefix.rglob(f"man{page[-1]}/{page}"))), 1, page)
        unit = next(self.prefix.rglob("vferryd.service")).read_text(encoding="utf-8")
        self.assertNotIn("@BINDIR@", unit)
        self.assertIn("/bin/vferryd --state", unit)
        # Its user is made by what is installed with it, and its partitions outlive its restart.
        user = re.search(r"^User=(\S+)$", unit, re.M).group(1)
        self.assertRegex(next(self.prefix.rglob("sysusers.d/vferry.conf")).read_text(encoding="utf-8"), rf"(?m)^u {user} ")
        self.assertIn("\nKillMode=process\n", unit)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "needs systemd-analyze")
    def test_systemd_finds_nothing_wrong_with_the_unit_and_little_left_open(self):
        unit = self.work / "vferryd.service"
        text = next(self.prefix.rglob("vferryd.service")).read_text(encoding="utf-8")
        # Where it will be once installed, the program is; and the manuals are not asked for.
        text = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={self.prefix / 'bin' / 'vferryd'}", text)
        unit.write_text(re.sub(r"(?m)^Documentation=.*$", "", text), encoding="utf-8")
        self.assertEqual(subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False).stderr, "")
        said = command("systemd-analyze", "security", "--offline=true", unit)
        self.assertLess(float(re.search(r"Overall exposure level.*: ([0-9.]+) ", said).group(1)), 2.0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
