# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy between two hosts that reads the records passing by (docs/wire-format.md) and does mischief at a chosen one."""
import select
import socket
import struct
import threading

TAGS = {
    1: "HELLO",
    2: "PING",
    3: "ADMIT",
    4: "ADMITTED",
    5: "REFUSED",
    6: "VERDICT",
    7: "ROUND",
    8: "PAGES",
    9: "ROUND_END",
    10: "ACK",
    11: "REHASH",
    12: "STATE",
    13: "READY",
    14: "COMMIT",
    15: "RUNNING",
    16: "DONE",
    17: "CLOSE",
    18: "ABORT",
    19: "INQUIRE",
    20: "ACCOUNT",
    21: "NEVER_RAN",
    19: "INQUIRE",
    20: "ACCOUNT",
    21: "NEVER_RAN",
    22: "RESUME",
    23: "RESUMED",
    24: "TABLE",
}
HEADER = 16
OUT, IN = "source->target", "target->source"


class Point:
    """A kind of record: its name, direction, stream, and whether the partition is paused already."""

    def __init__(self, tag, direction, role="control", paused=False):
        self.tag, self.direction, self.role, self.paused = tag, direction, role, paused

    def key(self):
        return self.tag, self.direction, self.role, self.paused

    def __eq__(self, other):
        return self.key() == other.key()

    def __hash__(self):
        return hash(self.key())

    def __repr__(self):
        return f"{self.tag} {self.direction} ({self.role}{', paused' if self.paused else ''})"


class Proxy:
    """
    Listens on `address` and connects each comer to `upstream`. At the `nth` record at `point` it calls
    act(proxy, connection, record): the bytes returned go on instead of the record; None ends the connection without them.
    """

    def __init__(self, upstream, point=None, act=None, nth=1, keep=False):
        host, port = upstream.rsplit(":", 1)
        self.upstream = (host, int(port))
        self.point, self.act, self.left, self.keep = point, act, nth, keep
        self.lock = threading.Lock()
        self.seen = []  # points in the order they passed
        self.bytes = []  # with keep: (point, record bytes)
        self.rounds = {}  # announced so far: number -> is it the paused one?
        self.announced = threading.Condition(self.lock)
        self.acted = threading.Event()
        self.gate = threading.Event()  # held records wait for it
        self.closing = False
        self.refusing = False  # while true nobody gets through
        self.threads, self.connections = [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "%s:%d" % self.listener.getsockname()
        self.start(self.accept)

    def start(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.refusing:
                near.close()
                continue
            try:
                far = socket.create_connection(self.upstream, 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, near, far)
            with self.lock:
                self.connections.append(connection)
            self.start(connection.pump, near, far, OUT)
            self.start(connection.pump, far, near, IN)

    def is_paused(self, tag, record):
        """Is the partition paused when this record passes? Data streams name their round, which the control stream has announced."""
        with self.lock:
            if tag == "ROUND":
                number, _, paused = struct.unpack_from("<IQB", record, HEADER + 8)
                self.rounds[number] = bool(paused)
                self.announced.notify_all()
            offset = {"PAGES": 36, "ROUND_END": 8, "ACK": 8, "REHASH": 8}.get(tag)
            if offset is None:
                return any(self.rounds.values())
            number = struct.unpack_from("<I", record, HEADER + offset)[0]
            # The announcement was sent first, but on another stream.
            self.announced.wait_for(lambda: number in self.rounds, 5)
            return self.rounds.get(number, False)

    def note(self, point, record):
        """Counts a record; True when it is the chosen one."""
        with self.lock:
            self.seen.append(point)
            if self.keep:
                self.bytes.append((point, record))
            if self.point is None or point != self.point or self.acted.is_set():
                return False
            self.left -= 1
            return self.left == 0

    def translate(self, point, record):
        """What goes on in the place of a record; for who inherits."""
        del point
        return record

    def silence(self):
        """From now on nothing passes in either direction; all connections stay open."""
        with self.lock:
            for connection in self.connections:
                connection.silent = True

    def cut_all(self):
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            connection.cut()

    def shut(self):
        """Cuts all connections and takes no new ones."""
        # A blocked accept() does not notice that its socket is closed; a shutdown wakes it.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # shut already
        self.listener.close()
        self.cut_all()

    def close(self):
        self.closing = True
        self.gate.set()
        self.shut()
        for thread in self.threads:
            thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Connection:
    def __init__(self, proxy, near, far):
        self.proxy, self.near, self.far = proxy, near, far
        self.role = None
        self.silent = False
        self.dead = threading.Event()

    def cut(self):
        """Ends both sides."""
        self.dead.set()
        for end in (self.near, self.far):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def hung_up(end):
        try:
            return bool(select.select([end], [], [], 0)[0]) and end.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def receive(self, end, size):
        """Exactly so many bytes, or less at the stream's end."""
        data = bytearray()
        while len(data) < size:
            part = end.recv(min(size - len(data), 1 << 20))
            if not part:
                break
            data += part
        return bytes(data)

    def point(self, record, direction):
        tag = TAGS.get(struct.unpack_from("<I", record)[0], "unknown")
        if tag == "HELLO" and direction == OUT:
            self.role = (
                "data" if len(record) > HEADER + 24 and record[HEADER + 24] == 1 else "control"
            )
        return Point(tag, direction, self.role or "control", self.proxy.is_paused(tag, record))

    def pump(self, source, sink, direction):
        try:
            while True:
                header = self.receive(source, HEADER)
                if len(header) < HEADER:
                    break
                record = header + self.receive(source, struct.unpack_from("<I", header, 8)[0])
                point = self.point(record, direction)
                if self.proxy.note(point, record):
                    changed = self.proxy.act(self.proxy, self, record)
                    self.proxy.acted.set()
                    if changed is None:
                        break
                    record = changed
                # A silent connection takes what comes and gives nothing, until somebody hangs up.
                if not self.silent:
                    sink.sendall(self.proxy.translate(point, record))
        except OSError:
            pass
        if not self.silent or self.proxy.closing:
            self.cut()
        else:
            # The other side must not learn that this one has gone: that is what silence means.
            while not self.proxy.closing and not self.dead.is_set():
                self.dead.wait(0.1)
                if self.hung_up(sink):
                    self.cut()


# ---- mischief ----


def cut(proxy, connection, record):
    """The connection ends before the record."""
    del proxy, connection, record


def cut_for_good(proxy, connection, record):
    """The way between the hosts ends before the record, and does not come back."""
    del connection, record
    proxy.shut()


def truncate(proxy, connection, record):
    """Half the record, then the end."""
    end = connection.far if proxy.point.direction == OUT else connection.near
    end.sendall(record[: max(1, len(record) // 2)])


def flip(rng):
    """One bit of it is wrong."""

    def act(proxy, connection, record):
        del proxy, connection
        changed = bytearray(record)
        bit = rng.randrange(len(changed) * 8)
        changed[bit // 8] ^= 1 << (bit % 8)
        return bytes(changed)

    return act


def go_silent(proxy, connection, record):
    """This connection carries nothing any more."""
    del proxy
    connection.silent = True
    return record


def all_silent(proxy, connection, record):
    """The network between the hosts is gone, without a word."""
    del connection
    proxy.silence()
    return record


def hold(proxy, connection, record):
    """The record waits until the gate opens."""
    del connection
    proxy.acted.set()
    proxy.gate.wait(60)
    return record


def calling(function):
    """Calls, then lets the record pass."""

    def act(proxy, connection, record):
        del proxy, connection
        function()
        return record

    return act
