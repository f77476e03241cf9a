# SPDX-License-Identifier: Apache-2.0
"""What a measurement is made with: the two limits, two hosts at rest, and one move with its time and its processes' CPU time."""
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
from harness import Failed, Host, wait_until  # noqa: E402

STREAMS = 2
CHUNK = 1 << 20  # of a move's frames
SMALL_CHUNK = 128 << 10  # what stays in a cache on its way through both sockets
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = 4096
GAVE_UP_S = 60  # by then QEMU has not converged
GAVE_UP = 4  # exit code: cancelled, or not converged
PROCESSES = ("source_kernel", "source_daemon", "target_kernel", "target_daemon")


def limit(build, program, content, chunk=CHUNK):
    """Bytes a second of one of the plain programs: the most that a move could reach."""
    done = subprocess.run([str(build / "bench" / program), str(STREAMS), str(chunk), str(content)], capture_output=True, text=True,
                          check=True, timeout=600)
    return json.loads(done.stdout)["bytes_per_s"]


def cpu_seconds(pid):
    """(user, system) of all threads of a process, since its start."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def cpu_of(source, target):
    pids = (source.kernel_pid, source.process.pid, target.kernel_pid, target.process.pid)
    return {name: cpu_seconds(pid) for name, pid in zip(PROCESSES, pids)}


@contextlib.contextmanager
def hosts(build, device, options=((), ())):
    with Host(build, "left", [device], options[0]) as left, Host(build, "right", [device], options[1]) as right:
        yield left, right


def certificates(build, folder):
    """Options of two hosts that prove who they are to each other."""
    subprocess.run([str(build / "vferry"), "cert", "init", folder, "--for", "left,127.0.0.1", "--for", "right,127.0.0.1"],
                   check=True, stdout=subprocess.DEVNULL, timeout=30)
    return [["--tls-cert", f"{folder}/{name}.pem", "--tls-key", f"{folder}/{name}.key", "--tls-ca", f"{folder}/ca.pem"]
            for name in ("left", "right")]


def settle(*both):
    """Waits until no host proves free VRAM any more: that work belongs to no move."""
    for host in both:
        wait_until(f"{host.name} has proven its VRAM", lambda host=host: host.json("adapter", "show", 0)["vram_unproven_bytes"] == 0, 900)


def start(host, name, vram, words):
    """A partition at work: at its end where the work is to fill and then idle, at speed where it goes on."""
    host.run("partition", "create", name, "--adapter", 0, "--vram", vram, timeout=600)
    host.run("run", name, *words, timeout=600)
    if words[0] == "churn":
        wait_until(f"{name} works", lambda: host.json("partition", "show", name)["steps"] > 1000, 300)
    else:
        host.run("wait", name, "--timeout", 900, timeout=910)


def write_rate(host, name):
    """What it writes by itself, which may be less than was asked for."""
    begin, before = time.monotonic(), host.json("partition", "show", name)["steps"]
    time.sleep(0.3)
    return int((host.json("partition", "show", name)["steps"] - before) * PAGE / (time.monotonic() - begin))


def figures(job):
    """What a report keeps of a job that ended well, beside the job itself."""
    return {"total_ns": job["total_ns"], "rate_bytes_per_s": job["rate_bytes_per_s"], "blackout_ns": job["blackout_ns"],
            "predicted_blackout_ns": job["predicted_blackout_ns"], "throttled_ns": job["throttled_ns"],
            "throttle_max": job["throttle_max"], "rounds": len(job["rounds"]), "bytes_sent": job["bytes_sent"]}


def move(source, target, name, *options, to=None):
    """One vferry migrate, from the command's start to its end. A move that fails is a result as well."""
    before, begin = cpu_of(source, target), time.monotonic()
    done = source.run("--json", "migrate", name, "--to", to or target.address, "--streams", STREAMS, *options, code=None, timeout=900)
    whole, after = time.monotonic() - begin, cpu_of(source, target)
    job = json.loads(done.stdout)
    record = {"outcome": "completed", "whole_ns": int(whole * 1e9), "job": job,
              "cpu": {name: {"user_s": round(after[name][0] - before[name][0], 3), "system_s": round(after[name][1] - before[name][1], 3)}
                      for name in PROCESSES}}
    if done.returncode == 0:
        return record | figures(job)
    why = job.get("error") or job
    record.update(outcome="gave up" if done.returncode == GAVE_UP else "failed", reason=why.get("text") or done.stderr.strip())
    return record


def remove(name, *both):
    """Wherever it ended."""
    for host in both:
        with contextlib.suppress(Failed):
            host.run("partition", "remove", name, timeout=600)
