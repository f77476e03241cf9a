#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command and ends with it all that it has started, however it ends: hosts outlive whoever starts them.

Usage: family.py COMMAND...   Interrupted (Ctrl-C, TERM, HUP) it says so in one line and exits with 128 + the signal.
"""
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 30


class Interrupted(BaseException):
    """Somebody wants it to end."""


def on_signal(number, _frame):
    raise Interrupted(number)


def descendants():
    """Whoever has this process among its forebears. A daemon's own session does not hide it: orphans come to us."""
    parents = {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text(errors="replace").rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended meanwhile
    found, new = set(), {os.getpid()}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new}
        found |= new
    return found


def reap():
    """Takes note of the children that have ended; false once there are none at all, and so no descendants."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass
        return True
    except ChildProcessError:
        return False


def end_all():
    """Ends every descendant; what one of them starts meanwhile is found in the next round."""
    end = time.monotonic() + PATIENCE_S
    while reap():
        left = descendants()
        if time.monotonic() > end:
            print(f"family: cannot be ended: {sorted(left)}", file=sys.stderr)
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        time.sleep(0.01)


def remove(folder):
    """The directory with all in it, also what a test had mounted there."""
    mounts = [line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{folder}/"):
            subprocess.run(["umount", mount], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def outcome(child):
    """Waits for the command and, on the way, for every orphan that comes to us."""
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "become the parent of orphans")
    # Short: sockets lie below it, and their paths have 107 bytes. Open to be walked through: some hosts are another user's.
    folder = os.path.realpath(tempfile.mkdtemp(prefix="vft-"))
    os.chmod(folder, 0o711)
    memory = tempfile.mkdtemp(prefix="vft-", dir="/dev/shm") if os.access("/dev/shm", os.W_OK) else folder
    try:
        for number in SIGNALS:
            signal.signal(number, on_signal)
        # In a session of its own: Ctrl-C is for us, and the command does not tell of it in a traceback a process.
        child = subprocess.Popen(sys.argv[1:], env={**os.environ, "TMPDIR": folder, "VF_TEST_MEMORY": memory}, start_new_session=True)
        code = outcome(child.pid)
        child.returncode = code
    except Interrupted as interrupted:
        code = 128 + interrupted.args[0]
        print(f"\ninterrupted by {signal.Signals(interrupted.args[0]).name}: what was running has been ended", file=sys.stderr)
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # this is the end already
        end_all()
        remove(folder)
        remove(memory)
    return code


if __name__ == "__main__":
    sys.stdout.flush()
    status = main()
    sys.stderr.flush()
    os._exit(status)
