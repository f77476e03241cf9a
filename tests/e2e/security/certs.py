# SPDX-License-Identifier: Apache-2.0
"""What the tests of TLS share: certificates good and bad, hosts that have them, and a client without a mind of its own."""
import re
import socket
import ssl
import subprocess

from e2e import BUILD, Case, create, partitions
from harness import wait_until

MAKE_CERT = BUILD / "tests/e2e/make_cert"
SOON = 20
# A sanitizer keeps what was freed.
FRUGAL = not re.search(rb"__[at]san_init", (BUILD / "vferryd").read_bytes())


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
