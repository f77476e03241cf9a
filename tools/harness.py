# SPDX-License-Identifier: Apache-2.0
"""Starts real vferryd hosts and speaks to them by the vferry command: for the demo, the benchmark and the end-to-end tests."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time


# How many times slower everything is under a sanitizer (base/tests/tool.h has the same for C).
SLOWER = {"address": 4, "thread": 8}


def sanitizer(build):
    """Which sanitizer the build carries: "address", "thread" or "" for none, as for what was installed."""
    try:
        options = json.loads((pathlib.Path(build) / "meson-info/intro-buildoptions.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    chosen = next((option["value"] for option in options if option["name"] == "b_sanitize"), "none")
    return next((name for name in SLOWER if name in chosen), "")


# Limits that only end what hangs are multiplied by this; the tests' build is VF_BUILD.
PATIENCE = SLOWER.get(sanitizer(os.environ.get("VF_BUILD", pathlib.Path(__file__).resolve().parents[1] / "build")), 1)


class Failed(Exception):
    """A vferry command ended otherwise than expected."""

    def __init__(self, args, code, out, err):
        super().__init__(f"vferry {' '.join(args)}: exit {code}\n{err}{out}")
        self.code, self.out, self.err = code, out, err


def wait_until(what, condition, timeout=30.0):
    """Asks until the answer is true; for what has no event to wait for. The answer is returned."""
    timeout *= PATIENCE
    end = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {timeout:.0f} s")
        time.sleep(0.01)


def pid_gone(pid):
    """Has the process ended? (A zombie whose parent is elsewhere counts as ended.)"""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            # A leader that is a zombie says nothing of its threads, which keep files and locks until they end too.
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z" and len(os.listdir(f"/proc/{pid}/task")) == 1
    except (FileNotFoundError, ProcessLookupError):
        return True


class Command(subprocess.Popen):
    """A command in the background, for which a slow build is waited longer."""

    def communicate(self, input=None, timeout=None):  # noqa: A002 (its name there)
        return super().communicate(input, timeout and timeout * PATIENCE)

    def wait(self, timeout=None):
        return super().wait(timeout and timeout * PATIENCE)


class Host:
    """One vferryd with its kernel side, in a state directory of its own."""

    def __init__(self, build, name, devices=("softgpu,vram=1G",), options=(), state=None, listen="127.0.0.1:0", log=None,
                 program="vferryd", env=None, prefix=(), user=None):
        self.build = pathlib.Path(build).resolve()
        self.name = name
        self.devices, self.options, self.listen_wish = list(devices), list(options), listen
        # All three count from the next start on. `prefix`: what executes the daemon, as `ip netns exec NAME` does.
        self.program, self.env, self.prefix = program, dict(env or {}), tuple(prefix)
        self.user = user  # uid, where it shall not be ours
        self.own_state = state is None
        self.state = pathlib.Path(state or tempfile.mkdtemp(prefix=f"vferry-{name}-"))
        self.log_path = pathlib.Path(log) if log else self.state / "vferryd.log"
        self.process = None
        self.address = None
        self.kernel_pid = None

    def start(self, timeout=30.0):
        """Starts the daemon and returns once it says READY (sd_notify)."""
        notify_path = self.state / "notify.sock"
        notify_path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(notify_path))
            notify_path.chmod(0o666)  # the daemon may be another user's; the directory is closed to others
            notify.settimeout(0.05)
            if self.user is not None:
                os.chown(notify_path, self.user, self.user)
            command = [*self.prefix, str(self.build / self.program), "--name", self.name, "--state", str(self.state), *self.options]
            if self.listen_wish:
                command += ["--listen", self.listen_wish]
            for device in self.devices:
                command += ["--device", device]
            with open(self.log_path, "ab") as log:
                # Who is not root looks into the processes by leave of this alone (base/privacy.h).
                leave = {} if os.geteuid() == 0 else {"VFERRY_DEBUGGABLE": "1"}
                self.process = Command(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, user=self.user, group=self.user,
                                                env={**os.environ, **leave, **self.env, "NOTIFY_SOCKET": str(notify_path)})
            end = time.monotonic() + timeout * PATIENCE
            while True:
                try:
                    if b"READY=1" in notify.recv(4096):
                        break
                except socket.timeout:
                    pass
                if self.process.poll() is not None:
                    raise Failed(command[1:], self.process.returncode, "", self.log())
                if time.monotonic() > end:
                    raise TimeoutError(f"{self.name}: not ready\n{self.log()}")
        notify_path.unlink(missing_ok=True)
        show = self.json("host", "show")
        self.address, self.kernel_pid = show["listen"], show["kernel_pid"]
        if self.listen_wish:
            self.listen_wish = self.address  # started again it is found where it was, as any host is
        return self

    def log(self):
        """What the daemon and its kernel side logged."""
        text = ""
        for path in (self.log_path, self.state / "kernel.log"):
            if path.exists():
                text += path.read_text(errors="replace")[-8000:]
        return text

    def command(self, *args):
        """The argv of a vferry command on this host."""
        return [str(self.build / "vferry"), "--host", str(self.state / "control.sock"), *[str(a) for a in args]]

    def run(self, *args, code=0, timeout=120, **popen):
        """Runs a command; Failed unless it exits with `code` (None = any)."""
        done = subprocess.run(self.command(*args), capture_output=True, text=True, timeout=timeout * PATIENCE, check=False, **popen)
        if code is not None and done.returncode != code:
            raise Failed([str(a) for a in args], done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *args, code=0, timeout=120):
        """The one object that a command with --json prints."""
        done = self.run("--json", *args, code=code, timeout=timeout)
        return json.loads(done.stdout)

    def spawn(self, *args):
        """A command in the background."""
        return Command(self.command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def kill(self, sig=signal.SIGKILL):
        """Ends the daemon without a word; the kernel side stays."""
        self.process.send_signal(sig)
        self.process.wait(30)

    def stop(self):
        """Ends both processes, whatever they hold, and removes the state directory if it is ours."""
        alive = self.process is not None and self.process.poll() is None
        if alive:
            self.run("host", "stop", "--force", code=None)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        if self.kernel_pid is not None and not alive and not pid_gone(self.kernel_pid):
            os.kill(self.kernel_pid, signal.SIGKILL)  # nobody is left who could ask it
        elif self.kernel_pid is not None:
            try:
                wait_until("kernel side ends", lambda: pid_gone(self.kernel_pid), 15)
            except TimeoutError:
                os.kill(self.kernel_pid, signal.SIGKILL)
        if self.own_state:
            shutil.rmtree(self.state, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()


def reference(build, *args, output=None):
    """The digest that the CPU computes for the same work."""
    command = [str(pathlib.Path(build).resolve() / "vferry"), "--json", "reference", *[str(a) for a in args]]
    if output:
        command += ["--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise Failed(command[1:], done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)
