#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records a whole move between two real hosts, byte for byte, to be kept as a test (migrate/tests/frozen/README.md)."""
import argparse
import pathlib
import socket
import threading

from harness import Host

DEVICE = "softgpu,vram=256M,vfs=4,dirty-page=64K"  # as tests/meson.build gives the hosts that the stream is played to
NAMES = ("control", "data")  # in the order in which the source connects: one stream of pages


class Tap:
    """Stands between the source and the target and keeps what passes, each way apart."""

    def __init__(self, target):
        host, port = target.rsplit(":", 1)
        self.target = (host, int(port))
        self.kept = []
        self.threads = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.spawn(self.accept)

    def spawn(self, what, *args):
        thread = threading.Thread(target=what, args=args, daemon=True)
        thread.start()
        self.threads.append(thread)

    def accept(self):
        for _ in NAMES:
            source, _ = self.listener.accept()
            target = socket.create_connection(self.target)
            ways = (bytearray(), bytearray())
            self.kept.append(ways)
            self.spawn(self.copy, source, target, ways[0])
            self.spawn(self.copy, target, source, ways[1])

    @staticmethod
    def copy(come, go, kept):
        while piece := come.recv(1 << 16):
            kept += piece
            go.sendall(piece)
        go.shutdown(socket.SHUT_WR)

    def all(self):
        """What passed, once both ends have hung up."""
        for thread in self.threads:
            thread.join(30)
        return self.kept


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", help="of the version to record")
    parser.add_argument("--out", required=True, help="folder for control.source, control.target, data.source, data.target")
    args = parser.parse_args()

    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    with Host(args.build, "A", [DEVICE]) as source, Host(args.build, "B", [DEVICE]) as target:
        source.run("partition", "create", "frozen", "--adapter", "0", "--vram", "64M")
        source.run("run", "frozen", "gemm", "--n", "16", "--steps", "3", "--seed", "1")
        done = source.json("wait", "frozen")
        tap = Tap(target.address)
        report = source.json("migrate", "frozen", "--to", tap.address, "--streams", "1")
        for name, ways in zip(NAMES, tap.all()):
            for side, data in zip(("source", "target"), ways):
                (out / f"{name}.{side}").write_bytes(data)
                print(f"{name}.{side}: {len(data)} bytes")
        print(f"workload {done['digest']}, VRAM {report['digest']}, {report['pages_sent']} pages")


main()
