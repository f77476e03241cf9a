# SPDX-License-Identifier: Apache-2.0
"""Hosts that prove who they are: moves over TLS, every certificate that must not get in, plain TCP where it may not be, crowds."""
import ctypes
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

from e2e import (
    BUILD,
    DEVICE,
    SLOW,
    Case,
    at_once,
    begins,
    churn,
    create,
    footprint_settles,
    move,
    partitions,
    rested,
)
from harness import Failed, Host, wait_until
from proxy import OUT, Proxy
from test_hostile import ABORT, ADMIT, ADMITTED, HELLO, Impostor, record

TESTS_AT_ONCE = at_once(4)
MAKE_CERT = os.environ.get("VF_TEST_MAKE_CERT", BUILD / "tests/e2e/make_cert")
SOON = 20


def cert_init(folder, *names):
    subprocess.run(
        [BUILD / "vferry", "cert", "init", folder, *(word for name in names for word in ("--for", name))],
        check=True, stdout=subprocess.DEVNULL, timeout=30,
    )


def make_cert(folder, name, *names, usage="both", since=-3600, until=3600, issuer="ca"):
    """A certificate as no command of ours makes it."""
    subprocess.run(
        [MAKE_CERT, folder / name, folder / issuer, usage, str(since), str(until), *names],
        check=True, timeout=30,
    )


def options(folder, name, *peers, ca=None):
    words = ["--tls-cert", folder / f"{name}.pem", "--tls-key", folder / f"{name}.key"]
    words += ["--tls-ca", ca or folder / "ca.pem"]
    return [str(word) for word in words] + [word for peer in peers for word in ("--tls-peer", peer)]


def port_of(host):
    return int(host.address.rsplit(":", 1)[1])


def log_of(host):
    """What the daemon alone said, all of it."""
    return host.log_path.read_text(errors="replace")


class Tls(Case):
    """A CA with left and right, who are at 127.0.0.1; and another one that both do not know."""

    def setUp(self):
        super().setUp()
        self.certs, self.others = self.folder / "certs", self.folder / "others"
        cert_init(self.certs, "left,127.0.0.1", "right,127.0.0.1", "other,127.0.0.1")
        cert_init(self.others, "left,127.0.0.1", "right,127.0.0.1")

    def hosts_with(self, left=None, right=None):
        return (
            self.host("left", options=options(self.certs, "left") if left is None else left),
            self.host("right", options=options(self.certs, "right") if right is None else right),
        )

    def refused(self, source, target, *texts, log=(), to=None):
        """The move fails with exit code 1 and a line that says why; nothing of it is on the target, whose log says why, too."""
        if "p" not in partitions(source):
            create(source, "p", vram="4M")
        address = f"{to}:{port_of(target)}" if to else target.address
        for verb in ("check", "migrate"):
            done = source.run(verb, "p", "--to", address, code=1)
            for text in (address, *texts):
                self.assertIn(text, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(partitions(source), ["p"])
        self.assertEqual(partitions(target), [])
        self.assertEqual([job for job in target.json("job", "list")["jobs"] if job["direction"] == "in"], [])
        for text in log:
            wait_until(f"the target's log says: {text}", lambda text=text: text in log_of(target), SOON)


class Moves(Tls):
    """What TLS changes for a move: nothing, but that nobody else can read it."""

    def test_a_partition_moves_there_and_back_as_it_was(self):
        left, right = self.hosts_with()
        work = churn(4)
        create(left, "p", work)
        begins(left, "p")
        job = move(left, right, "p", "--streams", 3)
        self.assertEqual((job["status"], job["peer_identity"]), ("completed", "right"))
        arrival = right.json("job", "show", 1)
        self.assertEqual(arrival["peer_identity"], "left")
        move(right, left, "p", "--verify", "full")
        self.assert_works_to_its_end(left, "p", work)
        self.assertEqual(left.json("host", "show")["security"], "tls")

    def test_nothing_of_it_can_be_read_on_the_way_or_in_a_log(self):
        left, right = self.hosts_with()
        marked = "a-partition-with-a-name"
        create(left, marked, churn(1, size="2M"))
        begins(left, marked)
        with Tap(port_of(right)) as tap:
            move(left, tap.address, marked)
        self.assertGreater(len(tap.seen), 1 << 20)
        for word in (marked.encode(), b"VFRY", b"HELLO"):
            self.assertNotIn(word, bytes(tap.seen))
        self.logs_are_silent(left, right)

    def logs_are_silent(self, *hosts):
        secrets = {"PRIVATE KEY"}
        for host in hosts:
            for line in (host.state / "journal").read_text().splitlines():
                token = json.loads(line).get("token")
                secrets |= {token} if token else set()
        for key in self.certs.glob("*.key"):
            secrets |= {line for line in key.read_text().splitlines() if len(line) > 30}
        self.assertGreater(len(secrets), 3)
        for host in hosts:
            for log in host.state.glob("*.log"):
                text = log.read_text(errors="replace")
                for secret in secrets:
                    self.assertNotIn(secret, text, log)
            told = host.run("events").stdout + host.run("job", "list", "--json").stdout
            for secret in secrets:
                self.assertNotIn(secret, told)
            self.assertEqual((host.state / "journal").stat().st_mode & 0o077, 0)

    def test_certificates_are_exchanged_on_hup(self):
        left, right = self.hosts_with(right=options(self.certs, "right", "other"))
        self.refused(left, right, "no --tls-peer there allows")
        for suffix in ("pem", "key"):
            shutil.copy(self.certs / f"other.{suffix}", self.certs / f"left.{suffix}.new")
            os.rename(self.certs / f"left.{suffix}.new", self.certs / f"left.{suffix}")
        left.process.send_signal(signal.SIGHUP)
        wait_until("left is other now", lambda: "this host is other" in log_of(left), SOON)
        self.assertEqual(move(left, right, "p")["status"], "completed")
        (self.certs / "right.pem").write_text("nothing\n")
        right.process.send_signal(signal.SIGHUP)
        wait_until("the log tells", lambda: "the certificates stay as they were" in log_of(right), SOON)
        self.assertEqual(move(right, left, "p")["status"], "completed")


class Tap:
    """A wire that lets all pass and keeps what it sees of the way to the target."""

    def __init__(self, port):
        self.port, self.seen, self.threads = port, bytearray(), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        try:
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.port), 10)
                threading.Thread(target=self.pump, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self.pump, args=(far, near, False), daemon=True).start()
        except OSError:
            pass

    def pump(self, source, sink, keep):
        try:
            while data := source.recv(1 << 16):
                if keep:
                    self.seen += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Refusals(Tls):
    """Who is not whom he should be is told so, by name, on both sides, and nothing begins."""

    def test_another_ca(self):
        left, right = self.hosts_with(right=options(self.others, "right"))
        self.refused(left, right, "certificate of right, 127.0.0.1 is from an unknown CA",
                     log=("refuses this host's certificate: it is from an unknown CA there",))

    def test_another_ca_of_the_source(self):
        """The source takes the target's, but not the other way round."""
        left, right = self.hosts_with(left=options(self.others, "left", ca=self.certs / "ca.pem"))
        self.refused(left, right, "refuses this host's certificate: it is from an unknown CA there",
                     log=("certificate of left, 127.0.0.1 is from an unknown CA",))

    def test_another_name(self):
        make_cert(self.certs, "far", "far.example", "10.0.0.9")
        left, right = self.hosts_with(right=options(self.certs, "far"))
        self.refused(left, right, "certificate is for far.example, 10.0.0.9, not for 127.0.0.1",
                     log=("refuses this host's certificate: it is not for the name dialled",))
        self.refused(left, right, "not for localhost", to="localhost")

    def test_a_name_that_the_target_does_not_allow(self):
        left, right = self.hosts_with(right=options(self.certs, "right", "other", "10.1.2.3"))
        self.refused(left, right, "no --tls-peer there allows the name in this host's certificate",
                     log=("certificate is for left, 127.0.0.1, which no --tls-peer of this host allows",))

    def test_a_name_that_the_source_does_not_allow(self):
        left, right = self.hosts_with(left=options(self.certs, "left", "other"))
        self.refused(left, right, "certificate is for right, 127.0.0.1, which no --tls-peer of this host allows",
                     log=("no --tls-peer there allows",))

    def test_names_that_are_allowed(self):
        left, right = self.hosts_with(options(self.certs, "left", "other", "right"), options(self.certs, "right", "LEFT"))
        create(left, "p", vram="4M")
        move(left, right, "p")

    def test_a_certificate_that_ended_while_the_host_ran(self):
        make_cert(self.certs, "short", "short", "127.0.0.1", until=3)
        end = time.time() + 4
        left, right = self.hosts_with(right=options(self.certs, "short"))
        wait_until("it has expired", lambda: time.time() > end, SOON)
        self.refused(left, right, "certificate of short, 127.0.0.1 expired on 2", "renew it there",
                     log=("refuses this host's certificate: it has expired",))
        create(right, "q", vram="4M")
        back = right.run("migrate", "q", "--to", left.address, code=1)
        self.assertIn("refuses this host's certificate: it has expired", back.stderr)

    def test_targets_that_no_vferryd_would_be(self):
        """Tomorrow's certificate, one for clients only, one without a name, older TLS: the source says which."""
        make_cert(self.certs, "early", "127.0.0.1", since=86400, until=2 * 86400)
        make_cert(self.certs, "client", "127.0.0.1", usage="client")
        make_cert(self.certs, "nameless")
        left = self.host("left", options=options(self.certs, "left"))
        create(left, "p", vram="4M")
        for name, most, text in (
            ("early", None, "certificate of 127.0.0.1 is not yet valid, only from 2"),
            ("client", None, "certificate of 127.0.0.1 has the wrong purpose: it may not be used as a server's"),
            ("nameless", None, "certificate is for no name, not for 127.0.0.1"),
            ("right", ssl.TLSVersion.TLSv1_2, "does not speak TLS 1.3"),
        ):
            with self.subTest(name), Odd(self.certs, name, most) as odd:
                done = left.run("migrate", "p", "--to", odd.address, code=1)
                self.assertIn(f"peer {odd.address}: {text}", done.stderr)
        self.assertEqual(partitions(left), ["p"])

    def test_sources_that_no_vferryd_would_be(self):
        """They are turned away before a word of ours is read, and the log says why."""
        make_cert(self.certs, "early", "127.0.0.1", since=86400, until=2 * 86400)
        make_cert(self.certs, "late", "127.0.0.1", since=-86400, until=-3600)
        make_cert(self.certs, "server", "127.0.0.1", usage="server")
        right = self.host("right", options=options(self.certs, "right"))
        held = rested(right)
        for name, most, text in (
            ("early", None, "certificate of 127.0.0.1 is not yet valid, only from 2"),
            ("late", None, "certificate of 127.0.0.1 expired on 2"),
            ("server", None, "certificate of 127.0.0.1 has the wrong purpose: it may not be used as a client's"),
            (None, None, "shows no certificate, and this host wants one"),
            ("left", ssl.TLSVersion.TLSv1_2, "does not speak TLS 1.3"),
        ):
            with self.subTest(name):
                with self.assertRaises((ssl.SSLError, ConnectionError, EOFError)):
                    self.connect(right, name, most)
                wait_until(f"the log says: {text}", lambda text=text: text in log_of(right), SOON)
        self.assertEqual(right.json("job", "list")["jobs"], [])
        footprint_settles(right, held)

    def connect(self, host, name, most=None):
        """A TLS client without any mind of its own; returns once it was welcomed."""
        return client(self.certs, name, port_of(host), most)


def client(certs, name, port, most=None, source=("127.0.0.1", 0)):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if most is not None:
        context.maximum_version = most
    if name is not None:
        context.load_cert_chain(certs / f"{name}.pem", certs / f"{name}.key")
    plain = socket.create_connection(("127.0.0.1", port), 10, source)
    try:
        secure = context.wrap_socket(plain)
        if secure.recv(1) != b"\1":
            raise EOFError("not welcomed")
        return secure
    except BaseException:
        plain.close()
        raise


class Odd:
    """A TLS server that shows a certificate as it is told, and lets anybody in."""

    def __init__(self, certs, name, most):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certs / f"{name}.pem", certs / f"{name}.key")
        if most is not None:
            self.context.maximum_version = most
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def serve(self):
        try:
            while True:
                plain, _ = self.listener.accept()
                try:
                    self.context.wrap_socket(plain, server_side=True).recv(1)
                except OSError:
                    plain.close()
        except OSError:
            pass

    def __exit__(self, *exc):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


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
            self.assertLess(time.monotonic() - begun, 4)  # nobody was waited for: that address never answers
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


class Identity(Tls):
    """A job's connections come from one peer: what another one shows opens nothing, not even the job's own token."""

    def test_a_token_is_of_no_use_to_another(self):
        plain, sink = self.host("plain"), self.host("sink")
        create(plain, "p", vram="4M")
        hello, admit = first_records(plain, sink)
        right = self.host("right", options=options(self.certs, "right"))
        for thief, taken in (("other", False), ("left", True)):
            source = Secure(self.certs, right, hello, admit)
            try:
                source.name = "left"
                control = source.connect()
                token = source.admitted_token(control)
                source.name = thief
                data = source.connect()
                data.sendall(source.hello_as(1, token))
                if taken:
                    wait_until("its stream is taken", lambda: right.json("job", "list")["jobs"][0]["phase"] == "round", SOON)
                else:
                    self.assertEqual(source.receive(data)[0], ABORT)
                    self.assertIn("which is other, shows the token of job", log_of(right))
            finally:
                source.close()
            wait_until("nothing is left", lambda: partitions(right) == [], SOON)


def first_records(source, target):
    """HELLO and ADMIT of a true move."""
    with Proxy(target.address, keep=True) as way:
        move(source, way.address, "p", "--streams", 1)
    control = [data for point, data in way.bytes if point.direction == OUT and point.role == "control"]
    return control[0], next(data for data in control if data[0] == ADMIT)


class Secure(Impostor):
    """An impostor with a certificate."""

    def __init__(self, certs, host, hello, admit):
        super().__init__(host.address, hello, admit, random.Random(os.urandom(8)))
        self.certs, self.port, self.name = certs, port_of(host), None

    def connect(self):
        self.sockets.append(client(self.certs, self.name, self.port))
        return self.sockets[-1]

    def admitted_token(self, control):
        name = struct.unpack_from("<H", self.admit)[0]
        streams = 2 + name + 16 + 4 + 8 + 8 + 16 + 8 + 8
        control.sendall(self.hello_as(0) + record(ADMIT, self.admit[:streams] + struct.pack("<I", 1) + self.admit[streams + 4:]))
        tag, _ = self.receive(control)
        assert tag == HELLO, tag
        tag, fields = self.receive(control)
        assert tag == ADMITTED, (tag, fields)
        return fields[:16]


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
        if not SLOW:  # a sanitizer keeps what was freed
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
        self.assertLess(time.monotonic() - begun, 10 if SLOW else 4)

    def test_a_host_out_of_descriptors_waits_quietly(self):
        right = self.host("right", options=options(self.certs, "right"))
        held = rested(right)
        limits = resource.prlimit(right.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(right.process.pid, resource.RLIMIT_NOFILE, (status(right)[2] + 2, limits[1]))
        ends = [socket.create_connection(("127.0.0.1", port_of(right)), 10) for _ in range(8)]
        wait_until("it is short", lambda: "has to wait: Too many open files" in log_of(right), SOON)
        before = cpu_seconds(right)
        begun = time.monotonic()
        wait_until("a while has passed", lambda: time.monotonic() - begun > 1.5, SOON)
        self.assertLess(cpu_seconds(right) - before, 0.5)
        self.assertLess(log_of(right).count("has to wait"), 100)
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
    done = subprocess.run(["ip", "netns", "add", "vferry-tls-try"], capture_output=True, text=True, check=False, timeout=20)
    if done.returncode != 0:
        return f"no network namespaces: {done.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", "vferry-tls-try"], check=True, timeout=20)
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
        a = self.inside(0, "a", *options(self.certs, "a", "b.example"))
        b = self.inside(1, "b", *options(self.certs, "b", "a.example"))
        work = churn(2)
        create(a, "p", work)
        begins(a, "p")
        self.assertEqual(move(a, "10.77.0.2:7001", "p")["peer_identity"], "b.example")
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
