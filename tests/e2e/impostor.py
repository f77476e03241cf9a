# SPDX-License-Identifier: Apache-2.0
"""Records and frames with right checks around whatever they say, and who plays a source with them."""
import ctypes
import socket
import struct

from proxy import HEADER

XXHASH = ctypes.CDLL("libxxhash.so.0")
XXHASH.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
XXHASH.XXH3_64bits.restype = ctypes.c_uint64
HELLO, ADMIT, ADMITTED, ROUND, PAGES, ROUND_END, STATE, COMMIT, ABORT = 1, 3, 4, 7, 8, 9, 12, 14, 18
MANDATORY = 1
ZERO_MARK = 1 << 63


def xxh3(data):
    return XXHASH.XXH3_64bits(bytes(data), len(data))


def record(tag, fields, flags=MANDATORY):
    """A control record with right checks around whatever it says."""
    payload = struct.pack("<Q", xxh3(fields)) + fields
    head = struct.pack("<III", tag, flags, len(payload))
    return head + struct.pack("<I", xxh3(head) & 0xFFFFFFFF) + payload


def frame(
    job,
    epoch,
    pages,
    *,
    generation=0,
    number=0,
    sequence=0,
    count=None,
    payload=b"",
    payload_bytes=None,
    digests=None,
):
    """A page frame with right checks around whatever it says."""
    digests = digests or [0] * len(pages)
    head = job + struct.pack(
        "<QIIQII",
        epoch,
        generation,
        number,
        sequence,
        len(pages) if count is None else count,
        len(payload) if payload_bytes is None else payload_bytes,
    )
    head += struct.pack(f"<{len(pages)}Q", *pages) + struct.pack(f"<{len(digests)}Q", *digests)
    body = struct.pack("<Q", xxh3(head)) + head + payload
    start = struct.pack("<III", PAGES, MANDATORY, len(body))
    return start + struct.pack("<I", xxh3(start) & 0xFFFFFFFF) + body


class Impostor:
    """Plays a source by the records of a true move."""

    def __init__(self, address, hello, admit, rng):
        host, port = address.rsplit(":", 1)
        self.where, self.rng = (host, int(port)), rng
        self.hello, self.admit = hello[HEADER + 8 :], admit[HEADER + 8 :]
        # A new job and a new partition each time: else the target rightly refuses a stale copy.
        self.job = rng.randbytes(16)
        name = struct.unpack_from("<H", self.admit)[0]
        self.epoch = struct.unpack_from(
            "<Q", self.admit, 2 + name + 16 + 4 + 8 + 8 + 16 + 8 + 8 + 4 + 1 + 1
        )[0]
        self.admit = self.admit[: 2 + name] + rng.randbytes(16) + self.admit[2 + name + 16 :]
        self.sockets = []

    def connect(self):
        self.sockets.append(socket.create_connection(self.where, 10))
        return self.sockets[-1]

    def hello_as(self, role, token=bytes(16), index=0):
        """Ours: magic, versions, features, role, name, boot id, then job, token, stream."""
        name = struct.unpack_from("<H", self.hello, 17)[0]
        at = 19 + name + 16
        text = self.hello[at + 36 :]
        return record(
            HELLO,
            self.hello[:16]
            + bytes([role])
            + self.hello[17:at]
            + self.job
            + token
            + struct.pack("<I", index)
            + text,
        )

    def receive(self, end):
        """Next record that is no PING: (tag, fields); (None, b"") at the end."""
        while True:
            head = self.exactly(end, HEADER)
            if len(head) < HEADER:
                return None, b""
            tag, _, length, _ = struct.unpack("<IIII", head)
            body = self.exactly(end, length)
            if tag != 2:
                return tag, body[8:]

    @staticmethod
    def exactly(end, size):
        data = b""
        try:
            while len(data) < size:
                part = end.recv(size - len(data))
                if not part:
                    break
                data += part
        except OSError:
            pass
        return data

    def admitted(self):
        """(control, data) streams of an admitted move, one data stream."""
        control = self.connect()
        name = struct.unpack_from("<H", self.admit)[0]
        streams = 2 + name + 16 + 4 + 8 + 8 + 16 + 8 + 8
        control.sendall(
            self.hello_as(0)
            + record(ADMIT, self.admit[:streams] + struct.pack("<I", 1) + self.admit[streams + 4 :])
        )
        tag, _ = self.receive(control)
        if tag != HELLO:
            raise AssertionError(f"no HELLO but {tag}")
        tag, fields = self.receive(control)
        if tag != ADMITTED:
            raise AssertionError(f"not admitted but {tag}: {fields!r}")
        data = self.connect()
        data.sendall(self.hello_as(1, fields[:16]))
        return control, data

    def close(self):
        for end in self.sockets:
            end.close()
