# SPDX-License-Identifier: Apache-2.0
"""A network of two hosts that can really be cut: a network namespace each, joined by a pair of virtual Ethernet devices."""
import itertools
import os
import subprocess

COUNTER = itertools.count()
ADDRESSES = {"source": "10.77.0.1", "target": "10.77.0.2"}


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=20)


class Wire:
    """Up when made; gone with close()."""

    def __init__(self):
        number = f"{os.getpid()}-{next(COUNTER)}"
        self.names = {side: f"vferry-{number}-{side[0]}" for side in ADDRESSES}
        try:
            for name in self.names.values():
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            source, target = self.names.values()
            ip("link", "add", "wire", "netns", source, "type", "veth", "peer", "name", "wire", "netns", target)
            for side, name in self.names.items():
                ip("-n", name, "address", "add", f"{ADDRESSES[side]}/24", "dev", "wire")
                ip("-n", name, "link", "set", "wire", "up")
        except BaseException:
            self.close()
            raise

    def prefix(self, side):
        return ("ip", "netns", "exec", self.names[side])

    def cut(self):
        """The target loses the network and knows it; what the source sends is lost without a word."""
        ip("-n", self.names["target"], "link", "set", "wire", "down")

    def mend(self):
        ip("-n", self.names["target"], "link", "set", "wire", "up")

    def close(self):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True, timeout=20)


def why_not():
    """Why there can be no such network here; None when there can."""
    try:
        Wire().close()
    except (OSError, subprocess.SubprocessError) as problem:
        return f"no network namespaces: {getattr(problem, 'stderr', None) or problem}".strip()
    return None
