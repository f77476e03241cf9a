#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
make bench: a move's rate against the raw loopback limit of the same run, its blackout idle and under writes, TLS beside it, and the
blackouts of sixteen moves at once beside sixteen partitions that work.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
from harness import Host, wait_until  # noqa: E402
from load import MIB, Load, pair  # noqa: E402

STREAMS = 2
CHUNK = 1 << 20
CONTENT = 2 << 30
CHURN_RATE = 200_000_000
# VRAM is allocated up front on both hosts: the first touch of host memory is not what is measured.
DEVICE = "softgpu,vram=3G,vfs=4,prealloc=on"


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": values}


def tcp_limit(build):
    done = subprocess.run([str(build / "bench" / "tcp_limit"), str(STREAMS), str(CHUNK), str(CONTENT)], capture_output=True,
                          text=True, check=True, timeout=120)
    return json.loads(done.stdout)["bytes_per_s"]


def move(source, target, name):
    return source.json("migrate", name, "--to", target.address, "--streams", STREAMS, timeout=300)


def certificates(build, folder):
    """Options of two hosts that prove who they are to each other."""
    subprocess.run([str(build / "vferry"), "cert", "init", folder, "--for", "left,127.0.0.1", "--for", "right,127.0.0.1"],
                   check=True, stdout=subprocess.DEVNULL, timeout=30)
    return [["--tls-cert", f"{folder}/{name}.pem", "--tls-key", f"{folder}/{name}.key", "--tls-ca", f"{folder}/ca.pem"]
            for name in ("left", "right")]


def move_full(left, right, seed):
    """Incompressible content, idle: the copy's rate and the shortest blackout."""
    left.run("partition", "create", "full", "--adapter", 0, "--vram", "2200M")
    left.run("run", "full", "fill", "--size", CONTENT, "--seed", seed)
    left.run("wait", "full", "--timeout", 300, timeout=310)
    job = move(left, right, "full")
    right.run("partition", "remove", "full")
    return job


def measure_tls(build, run):
    with tempfile.TemporaryDirectory() as folder:
        options = certificates(build, folder + "/certs")
        with Host(build, "left", [DEVICE], options[0]) as left, Host(build, "right", [DEVICE], options[1]) as right:
            return move_full(left, right, run + 1)


def crowd(build):
    """Sixteen at once, each of 64 MiB that are written at 32 MiB/s."""
    load = Load(vram="72M", size="64M", rate=32 * MIB, seconds=8)
    left, right = pair(build)
    with left, right:
        load.run(left, right, build)
    blackouts = [part.job["blackout_ns"] for part in load.moving()]
    print(f"{load.movers} moves at once took {load.took_s:.1f} s, blackout median {statistics.median(blackouts) / 1e6:.1f} ms, "
          f"worst {max(blackouts) / 1e6:.1f} ms", flush=True)
    return {"moves_at_once": load.movers, "working_beside": load.workers, "took_ns": int(load.took_s * 1e9), "blackout_ns": summary(blackouts)}


def measure(build, runs):
    limits, rates, ratios, idle, busy, busy_rounds = [], [], [], [], [], []
    tls_rates, tls_shares, tls_idle = [], [], []
    for run in range(runs):
        with Host(build, "left", [DEVICE]) as left, Host(build, "right", [DEVICE]) as right:
            limits.append(tcp_limit(build))
            job = move_full(left, right, run + 1)
            rates.append(job["rate_bytes_per_s"])
            ratios.append(job["rate_bytes_per_s"] / limits[-1])
            idle.append(job["blackout_ns"])
            left.run("partition", "create", "busy", "--adapter", 0, "--vram", "512M")
            left.run("run", "busy", "churn", "--size", "256M", "--rate", CHURN_RATE, "--steps", 1 << 40, "--seed", run)
            wait_until("churn works", lambda: left.json("partition", "show", "busy")["steps"] > 1000, 60)
            job = move(left, right, "busy")
            busy.append(job["blackout_ns"])
            busy_rounds.append(len(job["rounds"]))
        job = measure_tls(build, run)
        tls_rates.append(job["rate_bytes_per_s"])
        tls_shares.append(tls_rates[-1] / rates[-1])
        tls_idle.append(job["blackout_ns"])
        print(f"run {run + 1}/{runs}: TCP {limits[-1] / 1e9:.2f} GB/s, copy {rates[-1] / 1e9:.2f} GB/s ({ratios[-1]:.2f}), "
              f"blackout idle {idle[-1] / 1e6:.1f} ms, under churn {busy[-1] / 1e6:.1f} ms; "
              f"TLS {tls_rates[-1] / 1e9:.2f} GB/s ({tls_shares[-1]:.2f} of the plain copy), {tls_idle[-1] / 1e6:.1f} ms", flush=True)
    return {"schema": "vferry.bench/1", "streams": STREAMS, "chunk_bytes": CHUNK, "content_bytes": CONTENT, "device": DEVICE,
            "churn_bytes_per_s": CHURN_RATE, "tcp_bytes_per_s": summary(limits), "copy_bytes_per_s": summary(rates),
            "copy_to_tcp": summary(ratios), "blackout_idle_ns": summary(idle), "blackout_churn_ns": summary(busy),
            "rounds_churn": summary(busy_rounds), "tls_copy_bytes_per_s": summary(tls_rates), "tls_to_copy": summary(tls_shares),
            "blackout_tls_idle_ns": summary(tls_idle)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--runs", default=5, type=int)
    args = parser.parse_args()
    report = measure(args.build.resolve(), args.runs)
    report["crowd"] = crowd(args.build.resolve())
    out = args.build / "bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"median: copy {report['copy_bytes_per_s']['median'] / 1e9:.2f} GB/s = {report['copy_to_tcp']['median']:.2f} of raw TCP, "
          f"blackout idle {report['blackout_idle_ns']['median'] / 1e6:.1f} ms, under churn "
          f"{report['blackout_churn_ns']['median'] / 1e6:.1f} ms; TLS {report['tls_copy_bytes_per_s']['median'] / 1e9:.2f} GB/s = "
          f"{report['tls_to_copy']['median']:.2f} of the plain copy; see {out}/report.json")
    return 0


sys.exit(main())
