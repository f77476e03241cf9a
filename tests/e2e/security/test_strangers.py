# SPDX-License-Identifier: Apache-2.0
"""What keeps strangers away: plain TCP that stays on the machine, mistakes told at the start, crowds, a wire between two machines."""
import ctypes
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import subprocess
import threading
import time
import unittest

from certs import FRUGAL, SOON, Tls, client, log_of, make_cert, options, port_of
from e2e import BUILD, DEVICE, SLOW, at_once, begins, churn, create, footprint_settles, move, rested
from harness import PATIENCE, Failed, Host, wait_until

TESTS_AT_ONCE = at_once(4)


class Plain(Tls):
    """Plain TCP stays on the machine, and plain and TLS do not mix."""

    def test_plain_to_tls_and_back_says_so_on_both_sides(self):
        plain = self.host("plain")
        right = self.host("right", options=options(self.certs, "right"))
        self.refused(plain, right, "speaks plain TCP, and host right speaks TLS only",
                     log=("speaks plain TCP, and host right speaks TLS only",))
        plain.run("partition", "remove", "p")
        self.refused(right, plain, "speaks plain TCP, and this host speaks TLS only",
                     log=("speaks TLS, and host plain speaks plain TCP only",))

    def test_nothing_is_dialled_beyond_loopback_in_plain(self):
        left = self.host("left")
        create(left, "p", vram="4M")
        for verb in ("check", "migrate"):
            begun = time.monotonic()
            done = left.run(verb, "p", "--to", "192.0.2.1:7001", code=1)
            self.assertIn("peer 192.0.2.1:7001: is beyond loopback, where plain TCP is refused", done.stderr)
            self.assertLess(time.monotonic() - begun, 4 * PATIENCE)  # nobody was waited for: that address never answers
        self.assertEqual(left.json("host", "show")["security"], "plain")

    def test_a_port_beyond_loopback_needs_certificates_or_insecure(self):
        with self.assertRaises(Failed) as failed:
            self.host("left", listen="0.0.0.0:0")
        self.assertEqual(failed.exception.code, 2)
        self.assertIn("is beyond loopback", failed.exception.out + failed.exception.err)
        self.host("open", listen="0.0.0.0:0", options=["--insecure"])
        self.host("safe", listen="0.0.0.0:0", options=options(self.certs, "left"))


class Start(Tls):
    """A mistake in what a host is given is one line at its start, and an exit code."""

    def start(self, code, text, *words):
        done = subprocess.run(
            [BUILD / "vferryd", "--state", self.folder / "state", *words],
            capture_output=True, text=True, timeout=30, check=False,
        )
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("vferryd: "), done.stderr)
        self.assertIn(text, done.stderr)

    def test_mistakes(self):
        good = options(self.certs, "left")
        make_cert(self.certs, "late", "late", since=-7200, until=-3600)
        make_cert(self.certs, "server", "server", usage="server")
        make_cert(self.certs, "nameless")
        self.start(2, "--tls-key is missing", *good[:2])
        self.start(2, "--tls-cert is missing", "--tls-peer", "right")
        self.start(2, "leave one of them out", *good, "--insecure")
        self.start(2, "nowhere.pem: No such file", *options(self.certs, "nowhere"))
        self.start(2, "is not the key of the certificate", "--tls-cert", self.certs / "left.pem",
                   "--tls-key", self.certs / "right.key", "--tls-ca", self.certs / "ca.pem")
        self.start(2, "no CA's", *options(self.certs, "left", ca=self.certs / "right.pem"))
        self.start(2, "--tls-peer *.example: ", *good, "--tls-peer", "*.example")
        self.start(1, "late.pem: expired on 2", *options(self.certs, "late"))
        self.start(2, "as a client's", *options(self.certs, "server"))
        self.start(2, "has no name", *options(self.certs, "nameless"))
        (self.certs / "left.key").chmod(0o644)
        self.start(2, "chmod 600", *good)
        self.assertFalse((self.folder / "state").exists())

    def test_a_file_says_the_same_as_the_command_line(self):
        ini = self.folder / "vferryd.ini"
        ini.write_text(
            f"tls-cert = {self.certs}/left.pem\ntls-key = {self.certs}/left.key\n"
            f"tls-ca = {self.certs}/ca.pem\ntls-peer = right\ntls-peer = other\n"
        )
        left = self.host("left", options=["--config", str(ini)])
        right = self.host("right", options=options(self.certs, "right"))
        create(left, "p", vram="4M")
        move(left, right, "p")
        self.assertIn("talks to 2 by name", log_of(left))

    def test_cert_replaces_nothing(self):
        before = {path.name: path.read_bytes() for path in self.certs.iterdir()}
        for words in (("init", self.certs), ("init", self.certs, "--for", "new"), ("add", self.certs, "--for", "left"),
                      ("add", self.certs, "--for", "new", "--for", "left"), ("add", self.certs, "--for", "*.new")):
            done = subprocess.run([BUILD / "vferry", "cert", *words], capture_output=True, text=True, check=False, timeout=30)
            self.assertIn(done.returncode, (1, 2), words)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual({path.name: path.read_bytes() for path in self.certs.iterdir()}, before)
        subprocess.run([BUILD / "vferry", "cert", "add", self.certs, "--for", "new,10.0.0.3"], check=True, timeout=30,
                       stdout=subprocess.DEVNULL)
        for key in self.certs.glob("*.key"):
            self.assertEqual(key.stat().st_mode & 0o777, 0o600, key)
        shown = subprocess.run([BUILD / "vferry", "--json", "cert", "show", self.certs / "new.pem"], check=True, timeout=30,
                               capture_output=True, text=True)
        shown = json.loads(shown.stdout)
        self.assertEqual((shown["names"], shown["valid"], shown["ca"]), (["new", "10.0.0.3"], True, False))


def status(host):
    """(peak resident bytes, threads, descriptors) of the daemon."""
    text = pathlib.Path(f"/proc/{host.process.pid}/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", text).group(1)) << 10
    return peak, int(re.search(r"Threads:\s+(\d+)", text).group(1)), len(os.listdir(f"/proc/{host.process.pid}/fd"))


def cpu_seconds(host):
    fields = pathlib.Path(f"/proc/{host.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Crowds(Tls):
    """Strangers in numbers: what they can take of the host has a bound, and who is known comes through."""

    # What 80 strangers at once may add (docs/security.md): threads with their stacks, TLS state, half a handshake each.
    MEMORY = 32 << 20
    THREADS, DESCRIPTORS = 81, 4 * 81

    def flood(self, port, stop, made):
        """From another address, so that the host can tell it from the honest one: silent ones, halves, garbage, no certificate."""
        hello = bytes([22, 3, 1, 0x3F, 0xFF, 1, 0, 0x3F, 0xFB, 3, 3])
        # The largest that OpenSSL waits for, and nearly all of it.
        part = bytes([22, 3, 1, 0x40, 0]) + bytes(1 << 14)
        huge = part[:5] + bytes([1, 2, 0, 0]) + bytes((1 << 14) - 4) + 6 * part
        kinds = [b"", hello, hello + bytes(16000), huge, huge, b"\x16\x03\x01", os.urandom(60000), None]
        held = []
        while not stop.is_set():
            kind = kinds[len(made) % len(kinds)]
            try:
                if kind is None:
                    client(self.certs, None, port, source=("127.0.0.2", 0)).close()
                else:
                    end = socket.create_connection(("127.0.0.1", port), 10, ("127.0.0.2", 0))
                    held.append(end)
                    end.setblocking(False)
                    end.send(kind)
            except OSError:
                pass
            made.append(kind)
            while len(held) > 150:
                held.pop(0).close()
        for end in held:
            end.close()

    def test_a_flood_takes_little_and_keeps_nobody_out(self):
        left, right = self.hosts_with()
        for name in ("p", "q"):
            create(left, name, vram="4M")
        move(left, right, "p")  # all that a move needs is there
        held, (peak, threads, descriptors) = rested(right), status(right)
        stop, made, most = threading.Event(), [], [0, 0]
        crowd = [threading.Thread(target=self.flood, args=(port_of(right), stop, made)) for _ in range(3)]
        for thread in crowd:
            thread.start()
        try:
            wait_until("a crowd", lambda: len(made) > 600, 60)
            job = move(left, right, "q")
            self.assertEqual(job["status"], "completed")
            wait_until("a larger crowd", lambda: len(made) > 3000 or SLOW, 60)
            now = status(right)
            most = [max(most[0], now[1]), max(most[1], now[2])]
        finally:
            stop.set()
            for thread in crowd:
                thread.join()
        grown = status(right)[0] - peak
        print(f"# {len(made)} strangers: {grown >> 10} KiB more at most, {most[0]} threads, {most[1]} descriptors", flush=True)
        if FRUGAL:
            self.assertLess(grown, self.MEMORY)
        self.assertLessEqual(most[0], threads + self.THREADS)
        self.assertLessEqual(most[1], descriptors + self.DESCRIPTORS)
        self.assertLess(log_of(right).count("\n"), 200)  # they fill no disk either
        right.run("partition", "remove", "q")
        footprint_settles(right, held, 30)

    def test_who_drips_is_gone_when_its_time_is_over(self):
        right = self.host("right", options=[*options(self.certs, "right"), "--silence", "1"])
        hello = iter(bytes([22, 3, 1, 2, 0, 1, 0, 1, 252] + 500 * [0]))
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", port_of(right)), 10) as end:
            end.settimeout(0.1)

            def gone():
                try:
                    end.send(bytes([next(hello)]))
                    return end.recv(100) == b""
                except TimeoutError:
                    return False
                except ConnectionError:
                    return True

            wait_until("it is closed", gone, SOON)
        self.assertGreater(time.monotonic() - begun, 0.9)
        self.assertLess(time.monotonic() - begun, 4 * PATIENCE)

    def test_a_host_out_of_descriptors_waits_quietly(self):
        right = self.host("right", options=options(self.certs, "right"))
        held = rested(right)
        limits = resource.prlimit(right.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(right.process.pid, resource.RLIMIT_NOFILE, (status(right)[2] + 2, limits[1]))
        ends = [socket.create_connection(("127.0.0.1", port_of(right)), 10) for _ in range(8)]
        wait_until("it is short", lambda: "migration port: a connection cannot be served: Too many open files" in log_of(right), SOON)
        before = cpu_seconds(right)
        begun = time.monotonic()
        wait_until("a while has passed", lambda: time.monotonic() - begun > 1.5, SOON)
        self.assertLess(cpu_seconds(right) - before, 0.5)
        self.assertLess(log_of(right).count("cannot be served"), 100)
        resource.prlimit(right.process.pid, resource.RLIMIT_NOFILE, limits)
        for end in ends:
            end.close()
        footprint_settles(right, held)
        left = self.host("left", options=options(self.certs, "left"))
        create(left, "p", vram="4M")
        move(left, right, "p")


def namespaces():
    """Why there can be none here; "" when they can."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    if shutil.which("ip") is None:
        return "there is no ip(8)"
    name = "vferry-tls-try"
    # To work in one, ip(8) remounts /sys, which it cannot where / is no mount (a chroot).
    for words in (["netns", "add", name], ["-n", name, "link", "set", "lo", "up"], ["netns", "delete", name]):
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=20)
        if done.returncode != 0:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False, timeout=20)
            return f"no network namespaces: {done.stderr.strip()}"
    return ""


WHY_NOT = namespaces()


class Inside(Host):
    """A host in a network namespace."""

    def __init__(self, space, *args, **more):
        super().__init__(*args, **more)
        self.space = space

    def start(self, timeout=30.0):
        # All of its processes and sockets are there; its UNIX sockets are files, for anybody.
        here = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.space}", os.O_RDONLY)
        try:
            set_namespace(there)
            return super().start(timeout)
        finally:
            set_namespace(here)
            os.close(here)
            os.close(there)


def set_namespace(fd):
    if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Wire(Tls):
    """Two machines, as far as the network goes: a wire between two namespaces."""

    def setUp(self):
        super().setUp()
        mark = f"vf{os.getpid() % 100000}{threading.get_ident() % 1000}"
        self.spaces = [f"{mark}a", f"{mark}b"]
        for space in self.spaces:
            self.ip("netns", "add", space)
            self.addCleanup(self.ip, "netns", "delete", space)
        self.ip("link", "add", "wire", "netns", self.spaces[0], "type", "veth", "peer", "name", "wire", "netns", self.spaces[1])
        for number, space in enumerate(self.spaces, 1):
            self.ip("-n", space, "address", "add", f"10.77.0.{number}/24", "dev", "wire")
            self.ip("-n", space, "link", "set", "wire", "up")
            self.ip("-n", space, "link", "set", "lo", "up")
        make_cert(self.certs, "a", "a.example", "10.77.0.1")
        make_cert(self.certs, "b", "b.example", "10.77.0.2")

    @staticmethod
    def ip(*words):
        subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)

    def inside(self, number, name, *words, listen="10.77.0.%d:7001"):
        place = self.folder / name
        place.mkdir()
        host = Inside(self.spaces[number], BUILD, name, (DEVICE,), [str(word) for word in words], state=place,
                      listen=listen % (number + 1) if "%" in listen else listen)
        self.hosts.append(host)
        self.addCleanup(self.end, host)
        return host.start()

    def test_a_partition_crosses_it_with_tls_by_address(self):
        a = self.inside(0, "a", *options(self.certs, "a", "b.example"), listen="0.0.0.0:7001")
        b = self.inside(1, "b", *options(self.certs, "b", "a.example"))
        work = churn(2)
        create(a, "p", work)
        begins(a, "p")
        self.assertEqual(move(a, "10.77.0.2:7001", "p")["peer_identity"], "b.example")
        # Where it came from can be asked again, though its source said no more than "every address".
        self.assertEqual(b.json("job", "show", 1)["source"], "10.77.0.1:7001")
        self.assert_works_to_its_end(b, "p", work)

    def test_plain_crosses_it_only_where_both_said_insecure(self):
        careful = self.inside(0, "careful", listen="127.0.0.1:7001")
        reckless = self.inside(1, "reckless", "--insecure")
        create(careful, "p", vram="4M")
        done = careful.run("migrate", "p", "--to", "10.77.0.2:7001", code=1)
        self.assertIn("peer 10.77.0.2:7001: is beyond loopback", done.stderr)
        self.assertIn("--insecure", log_of(reckless))
        self.assertNotIn("10.77.0.1", log_of(reckless))  # it was not even dialled
        other = self.inside(0, "other", "--insecure", listen="10.77.0.1:7002")
        create(other, "q", vram="4M")
        move(other, "10.77.0.2:7001", "q")

    def test_plain_from_beyond_loopback_is_refused_on_a_loopback_port(self):
        """As through a port that somebody forwards: the address it comes from tells."""
        careful = self.inside(0, "careful", listen="127.0.0.1:7001")
        script = ("import socket; s = socket.create_connection(('127.0.0.1', 7001), 10, ('10.77.0.1', 0)); "
                  "s.sendall(b'1234'); print(s.recv(4096))")
        done = subprocess.run(["ip", "netns", "exec", self.spaces[0], "/usr/bin/python3", "-c", script], capture_output=True,
                              text=True, check=True, timeout=30)
        self.assertIn("takes plain TCP from its own machine only", done.stdout)
        wait_until("the log says so", lambda: "takes plain TCP from its own machine only" in log_of(careful), SOON)


if __name__ == "__main__":
    unittest.main()
