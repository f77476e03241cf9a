# SPDX-License-Identifier: Apache-2.0
"""A way between hosts that can be cut, for the soak. It passes bytes on and knows nothing of them (tests/e2e/proxy.py does)."""
import contextlib
import socket
import threading

PIECE = 256 << 10


class Link:
    """The way to a host, which can be cut and mended: every connection through it ends, and no new one is made for a while."""

    def __init__(self, upstream):
        host, port = upstream.rsplit(":", 1)
        self.upstream = (host, int(port))
        self.lock = threading.Lock()
        self.ends = set()
        self.up = True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "%s:%d" % self.listener.getsockname()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            try:
                far = socket.create_connection(self.upstream, 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self.lock:
                up = self.up
                if up:
                    self.ends |= {near, far}
            if not up:
                near.close()
                far.close()
                continue
            left = [2]
            for source, sink in ((near, far), (far, near)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.pump, args=(source, sink, left), daemon=True).start()

    def pump(self, source, sink, left):
        buffer = memoryview(bytearray(PIECE))
        with contextlib.suppress(OSError):
            while (got := source.recv_into(buffer)) > 0:
                sink.sendall(buffer[:got])
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self.lock:
            left[0] -= 1
            if left[0] == 0:
                self.ends -= {source, sink}
                source.close()
                sink.close()

    def cut(self):
        """How many connections ended."""
        with self.lock:
            self.up = False
            for end in self.ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            return len(self.ends) // 2

    def mend(self):
        with self.lock:
            self.up = True
