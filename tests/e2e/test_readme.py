# SPDX-License-Identifier: Apache-2.0
"""What README tells people to paste works as it stands there; only places and ports are this test's own."""
import re
import signal
import socket
import subprocess
import unittest

from e2e import BUILD, ROOT, Case
from harness import PATIENCE


def block(title):
    """The first commands under a heading of README.md, without their indentation."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = re.search(r"(?:^    .*\n|^\n)+", text, re.M)[0].splitlines()
    return "\n".join(line[4:] for line in lines).strip() + "\n"


def free_ports(count):
    """Ports that nobody has; all are held until the last is found, so that no two are the same."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Readme(Case):
    def end_hosts(self):
        for name in "AB":
            subprocess.run([BUILD / "vferry", "--host", self.folder / name / "control.sock", "host", "stop", "--force"],
                           capture_output=True, timeout=60 * PATIENCE, check=False)

    def test_a_first_session_by_hand_can_be_pasted_as_a_block(self):
        script = block("A first session by hand")
        self.assertIn("migrate p1 --to", script)
        self.addCleanup(self.end_hosts)
        for old, new in zip(("7001", "7002"), free_ports(2)):
            script = script.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
        script = script.replace("/tmp/A", f"{self.folder}/A").replace("/tmp/B", f"{self.folder}/B").replace("build/v", f"{BUILD}/v")
        # -e: a paste that goes on after a failure has failed all the same. Into a file: hosts that stay behind hold no pipe of ours.
        with open(self.folder / "said", "w+b") as said:
            process = subprocess.Popen(["bash", "-e", "-c", script], cwd=self.folder, stdout=said, stderr=said, stdin=subprocess.DEVNULL,
                                       start_new_session=True)
            try:
                code = process.wait(120 * PATIENCE)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                code = f"not over in {120 * PATIENCE} s, exit {process.wait()}"
            said.seek(0)
            text = said.read().decode()
        self.assertEqual(code, 0, f"{script}\n{text}")
        digests = re.findall(r"xxh3-128:[0-9a-f]{32}", text)
        self.assertEqual(len(set(digests[-2:])), 1, text)
        self.assertGreaterEqual(len(digests), 3, text)  # that of the VRAM, and the work's twice
        self.assertFalse((self.folder / "A/control.sock").exists() or (self.folder / "B/control.sock").exists(), text)


if __name__ == "__main__":
    unittest.main()
