# SPDX-License-Identifier: Apache-2.0
"""Hosts need no privilege: whole moves by an ordinary user, and in what systemd would shut the service in; who may use the socket."""
import ctypes.util
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

from e2e import BUILD, Case, begins, churn, create, move
from harness import Host

ROOT = os.geteuid() == 0
NOBODY = 65534
# Nobody has these, so whatever they may do here they may do because of this test.
STRANGER, GROUP = 54321, 54322
DEVICE = "softgpu,vram=256M,vfs=4"
HERE = pathlib.Path(__file__).resolve().parent


def as_user(uid, gid, *groups):
    """Words that run a command as this user, with nothing left of root."""
    lists = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    return [
        "setpriv",
        "--reuid",
        str(uid),
        "--regid",
        str(gid),
        *lists,
        "--no-new-privs",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ]


def status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)


def children(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            found += map(int, pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii").split())
        except (FileNotFoundError, ProcessLookupError):
            pass  # a thread that has just ended
    return found


def modes(host):
    """Of what the host made in its state directory; its log is the test's own."""
    return {
        path.name: stat.S_IMODE(path.lstat().st_mode)
        for path in host.state.iterdir()
        if path != host.log_path
    }


class OtherUsers(Case):
    def setUp(self):
        super().setUp()
        # The tests' own folders are closed to other users: the programs, and a place for state, in one that is not.
        holder = tempfile.TemporaryDirectory(prefix="vferry-user-")
        self.addCleanup(holder.cleanup)
        self.place = pathlib.Path(holder.name)
        self.place.chmod(0o755)
        self.programs = self.place / "programs"
        self.programs.mkdir(mode=0o755)
        for name in ("vferryd", "vferry-kernel", "vferry-umed", "vferry"):
            shutil.copy(BUILD / name, self.programs)
        for folder, names in (
            ("devices", ["softgpu.so"]),
            ("drivers", ["softgpu.so", "softgpu-umed.so"]),
        ):
            (self.programs / folder).mkdir(mode=0o755)
            for name in names:
                shutil.copy(BUILD / folder / name, self.programs / folder)

    def user_host(self, name, prefix=(), **more):
        """A host of an ordinary user: nobody, or whoever runs the tests."""
        home = self.place / name
        home.mkdir(mode=0o700)
        if ROOT:
            os.chown(home, NOBODY, NOBODY)
        host = Host(self.programs, name, [DEVICE], state=home, prefix=prefix, **more)
        self.hosts.append(host)
        self.addCleanup(self.end, host)
        return host.start()


class Unprivileged(OtherUsers):
    def moves_and_ends_right(self, left, right):
        work = churn(2, size="8M", rate=4 << 20)
        create(left, "p", work)
        begins(left, "p")
        for host in (left, right):
            for pid in (host.process.pid, host.kernel_pid, *children(host.kernel_pid)):
                now = status(pid)
                self.assertEqual(
                    set(now["Uid"].split()), {str(NOBODY if ROOT else os.geteuid())}, now["Name"]
                )
                self.assertEqual(
                    {now[key] for key in ("CapInh", "CapPrm", "CapEff")}, {"0" * 16}, now["Name"]
                )
                if ROOT:
                    self.assertEqual(
                        (now["NoNewPrivs"], now["CapBnd"]), ("1", "0" * 16), now["Name"]
                    )
        move(left, right, "p")
        self.assert_works_to_its_end(right, "p", work)
        for host in (left, right):
            self.assertEqual(set(modes(host).values()), {0o600})

    def test_a_whole_move_by_a_user_without_any_privilege(self):
        before = as_user(NOBODY, NOBODY) if ROOT else []
        self.moves_and_ends_right(self.user_host("left", before), self.user_host("right", before))

    def test_a_check_says_whose_state_directory_lost_its_write_permission(self):
        before = as_user(NOBODY, NOBODY) if ROOT else []
        left, right = self.user_host("left", before), self.user_host("right", before)
        create(left, "p")
        for host, side in ((right, "target"), (left, "source")):
            host.state.chmod(0o500)
            told = left.json("check", "p", "--to", right.address, code=7)
            self.assertTrue(told["full_now"])
            reason = [one for one in told["reasons"] if one["field"] == "state-directory"]
            self.assertEqual(len(reason), 1, told)
            self.assertIn("cannot be written to: Permission denied", reason[0][side])
            self.assertIn("right to write there", reason[0]["remedy"])
            self.assertNotIn(reason[0]["remedy"], reason[0][side])
            host.state.chmod(0o700)
            left.run("check", "p", "--to", right.address)

    def test_a_whole_move_in_the_sandbox_of_the_systemd_unit(self):
        if not shutil.which("systemd-analyze") or not ctypes.util.find_library("seccomp"):
            self.skipTest(
                "needs systemd-analyze and libseccomp, to know and to load the unit's filter"
            )
        if (
            b"__asan_init" in (BUILD / "vferryd").read_bytes()
            or b"__tsan_init" in (BUILD / "vferryd").read_bytes()
        ):
            self.skipTest("a sanitizer asks the system for more than the programs do")
        for path in (HERE / "sandboxed.py", BUILD / "vferryd.service"):
            shutil.copy(path, self.place)
        before = [
            "/usr/bin/python3",
            str(self.place / "sandboxed.py"),
            str(self.place / "vferryd.service"),
            str(NOBODY),
        ]
        left, right = self.user_host("left", before), self.user_host("right", before)
        for pid in (left.process.pid, left.kernel_pid):
            self.assertEqual(status(pid)["Seccomp"], "2", "it runs without the filter")
        self.moves_and_ends_right(left, right)


class Secrets(Case):
    def test_the_most_talkative_log_tells_no_secret(self):
        """Tokens speak for the other end of a hand-off: they stand in the journals, and nowhere else that people read."""
        left, right = (
            self.host(name, DEVICE, env={"VFERRY_LOG": "debug"}) for name in ("left", "right")
        )
        work = churn(1, size="8M", rate=8 << 20)
        create(left, "p", work)
        begins(left, "p")
        move(left, right, "p")
        self.assert_works_to_its_end(right, "p", work)
        tokens = set()
        for host in (left, right):
            tokens |= set(
                re.findall(r'"token":"([0-9a-f]{32})"', (host.state / "journal").read_text())
            )
        self.assertEqual(len(tokens), 1, "one move, one token, on both sides")
        said = "".join(
            log.read_text() for host in (left, right) for log in host.state.glob("*.log")
        )
        said += "".join(
            host.run(*words).stdout
            for host in (left, right)
            for words in (("events",), ("--json", "job", "list"), ("--json", "job", "show", 1))
        )
        self.assertIn(" debug ", said)
        for token in tokens:
            self.assertNotIn(token, said.lower())
        # What is long and looks random is an identity or a digest, and says so.
        long = re.findall(r"[^\s\"]*[0-9a-fA-F]{32,}[^\s\"]*", said)
        self.assertEqual([word for word in long if "xxh3-128:" not in word], [])


@unittest.skipUnless(ROOT, "takes other users, which only root can be")
class Group(OtherUsers):
    def ask(self, host, *who):
        return subprocess.run(
            [*as_user(*who), *host.command("host", "show")],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def test_members_of_the_socket_group_may_ask_and_nobody_else(self):
        host = self.user_host(
            "left", as_user(NOBODY, NOBODY, GROUP), options=["--socket-group", str(GROUP)]
        )
        found = modes(host)
        self.assertEqual(stat.S_IMODE(host.state.stat().st_mode), 0o710)
        self.assertEqual(found.pop("control.sock"), 0o660)
        self.assertEqual(set(found.values()), {0o600})
        for who in ((STRANGER, GROUP), (STRANGER, STRANGER, GROUP), (NOBODY, NOBODY)):
            self.assertEqual(self.ask(host, *who).returncode, 0, who)
        host.run("host", "show")  # root itself
        stranger = self.ask(host, STRANGER, STRANGER)
        self.assertEqual(stranger.returncode, 5, stranger.stdout)
        self.assertIn("Permission denied", stranger.stderr)
        self.assertNotEqual(
            subprocess.run(
                [*as_user(STRANGER, GROUP), "ls", str(host.state)], capture_output=True, check=False
            ).returncode,
            0,
        )

    def test_without_a_group_only_the_owner_may_ask(self):
        host = self.user_host("left", as_user(NOBODY, NOBODY, GROUP))
        host.state.chmod(0o755)  # even if somebody opens the directory
        (host.state / "control.sock").chmod(0o666)  # and the socket
        refused = self.ask(host, STRANGER, GROUP)
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertIn("serves its own user", refused.stderr)
        self.assertEqual(self.ask(host, NOBODY, NOBODY).returncode, 0)

    def test_a_group_that_the_daemon_is_no_member_of_is_refused_by_name(self):
        with self.assertRaises(Exception) as caught:
            self.user_host("left", as_user(NOBODY, NOBODY), options=["--socket-group", str(GROUP)])
        self.assertIn("member of the group", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
