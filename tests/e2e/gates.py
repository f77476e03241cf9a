# SPDX-License-Identifier: Apache-2.0
"""A host's driver whose calls stand or fail where a test wants it (dxgk/tests/drivers/gated.c)."""
import errno
import os
import pathlib

from e2e import BUILD
from harness import wait_until

DRIVER = BUILD / "dxgk/tests/gated.so"


class Gates:
    """The gates of one host: its options and environment, and one gate after the other."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.options = ("--driver", str(DRIVER))
        self.env = {"VF_GATES": str(self.folder)}

    def close(self, call):
        """From now on that call of the driver stands when it comes."""
        (self.folder / f"{call}.at").unlink(missing_ok=True)
        os.mkfifo(self.folder / call)

    def stands_at(self, call):
        return (self.folder / f"{call}.at").exists()

    def open(self, call):
        """Whoever stands there goes on; nobody stands there again."""
        fifo = self.folder / call
        way = os.open(fifo, os.O_PATH)
        fifo.unlink()

        def opened():
            try:
                os.close(os.open(f"/proc/self/fd/{way}", os.O_WRONLY | os.O_NONBLOCK))
                return True
            except OSError as why:
                if why.errno != errno.ENXIO:
                    raise
                return not self.stands_at(call)  # it came so late that the gate was away

        try:
            if self.stands_at(call):
                wait_until(f"{call} goes on", opened, 30)
        finally:
            os.close(way)

    def fail(self, call, times=None):
        """That call fails so often, or from now on."""
        for name in [f"{call}.fails"] if times is None else [f"{call}.fail.{n}" for n in range(1, times + 1)]:
            (self.folder / name).touch()

    def work_again(self, call):
        (self.folder / f"{call}.fails").unlink()

    def crash(self, call):
        """That call writes to nowhere when it comes."""
        (self.folder / f"{call}.crashes").touch()

    def lack(self, call):
        """The driver's table lacks it when the host is started next."""
        (self.folder / f"{call}.lacks").touch()
