# SPDX-License-Identifier: Apache-2.0
"""Hosts that prove who they are: moves over TLS, and every certificate that must not get in."""
import json
import os
import random
import shutil
import signal
import socket
import ssl
import struct
import threading
import time
import unittest

from certs import SOON, Tls, client, log_of, make_cert, options, port_of
from e2e import at_once, begins, churn, create, footprint_settles, move, partitions, rested
from harness import wait_until
from impostor import ABORT, ADMIT, ADMITTED, HELLO, Impostor, record
from proxy import OUT, Proxy

TESTS_AT_ONCE = at_once(4)


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

    def test_a_source_that_was_killed_settles_it_by_its_certificate(self):
        left, right = self.hosts_with()
        work = churn(6)
        create(left, "p", work)
        begins(left, "p")
        moving = left.spawn("migrate", "p", "--to", right.address, "--bandwidth", "2M")
        wait_until("pages flow", lambda: any(job["phase"] == "round" for job in right.json("job", "list")["jobs"]), SOON)
        left.kill()
        moving.communicate(timeout=30)
        left.start()
        wait_until("the target has let go", lambda: partitions(right) == [], 40)
        self.assertEqual(left.json("job", "show", 1)["peer_identity"], "right")
        self.assert_works_to_its_end(left, "p", work)

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


class Identity(Tls):
    """A job's connections come from one peer: what another one shows opens nothing, not even the job's own token."""

    def test_a_token_is_of_no_use_to_another(self):
        plain, sink = self.host("plain"), self.host("sink")
        create(plain, "p", vram="4M")
        hello, admit = first_records(plain, sink)
        # A source that went may come back for a while; not for long here.
        right = self.host("right", options=[*options(self.certs, "right"), "--silence", "2", "--redial", "1"])
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


if __name__ == "__main__":
    unittest.main()
