# SPDX-License-Identifier: Apache-2.0
"""What is measured: every row with its partition and its work, and the stages, each of which opens hosts and measures its rows there."""
import dataclasses
import fnmatch
import statistics
import tempfile

from lab import PAGE, certificates, hosts, move, remove, settle, start, write_rate
from harness import Failed
from load import Load, pair

MIB = 1 << 20
GIB = 1 << 30
FOR_EVER = 1 << 40  # steps
FULL_SPEED = 0  # bytes a second: as fast as the engine goes


@dataclasses.dataclass(frozen=True)
class Row:
    key: str
    title: str
    stage: str
    content: int  # bytes that were ever written, of which there are at least so many to send
    vram: int = 0
    rate: int = None  # bytes a second that are written meanwhile; None: idle
    hot: int = 0  # of the content the part that is written; 0: all
    page: int = 64 << 10  # bytes that a dirty bit covers
    movers: int = 1
    options: tuple = ()  # of vferry migrate

    def work(self, seed):
        if self.rate is None:
            return ["fill", "--size", self.content, "--seed", seed]
        words = ["churn", "--size", self.content, "--steps", FOR_EVER, "--seed", seed]
        words += ["--rate", self.rate] if self.rate != FULL_SPEED else []
        return words + (["--hot", self.hot] if self.hot else [])


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Of everything. The small ones are for the test that the benchmark works; their figures mean nothing."""

    idle: int = 2 * GIB
    idle_vram: int = 2200 * MIB
    busy: int = GIB
    busy_vram: int = 1100 * MIB
    hot: int = 64 * MIB
    touched: tuple = (64 * MIB, 256 * MIB, GIB)
    device: str = "softgpu,vram=3G,vfs=4,prealloc=on"  # the first touch of the host's memory is not what is measured
    large: int = 14 * GIB
    large_device: str = "softgpu,vram=15G,vfs=4"
    little: int = 256 * MIB
    part: int = 64 * MIB  # of each of a crowd, and what is touched in large and little
    crowd_seconds: float = 8
    picture: tuple = (8192, 4096)  # 8 bytes of VRAM a pixel


SMALL = Sizes(idle=16 * MIB, idle_vram=48 * MIB, busy=16 * MIB, busy_vram=32 * MIB, hot=4 * MIB, touched=(8 * MIB,),
              device="softgpu,vram=64M,vfs=4", large=192 * MIB, large_device="softgpu,vram=256M,vfs=4", little=24 * MIB,
              part=8 * MIB, crowd_seconds=2, picture=(1024, 512))


def in_words(size):
    return f"{size // GIB} GiB" if size % GIB == 0 else f"{size / MIB:g} MiB"


def busy_rows(sizes, page):
    mark, pages = f"{page >> 10}k", f"{page >> 10} KiB pages"
    for rate in (50, 200, 1000):
        yield Row(f"{rate}-{mark}", f"{rate} MB/s over {in_words(sizes.busy)}, {pages}", f"loop-{mark}", sizes.busy, sizes.busy_vram,
                  rate * 1_000_000, page=page)
    yield Row(f"hot-{mark}", f"200 MB/s over a hot {in_words(sizes.hot)}, {pages}", f"loop-{mark}", sizes.busy, sizes.busy_vram,
              200_000_000, hot=sizes.hot, page=page)
    yield Row(f"full-{mark}", f"full speed over {in_words(sizes.busy)}, {pages}", f"loop-{mark}", sizes.busy, sizes.busy_vram, FULL_SPEED,
              page=page)


def all_rows(sizes):
    yield Row("idle", f"idle, {in_words(sizes.idle)}", "loop-64k", sizes.idle, sizes.idle_vram)
    yield from busy_rows(sizes, 64 << 10)
    for size in sizes.touched:
        yield Row(f"touch-{size // MIB}m", f"idle, {in_words(size)} touched of {in_words(sizes.idle_vram)}", "loop-64k", size, sizes.idle_vram)
    yield from busy_rows(sizes, 4 << 10)
    yield Row("tls", f"idle, {in_words(sizes.idle)}, TLS", "tls", sizes.idle, sizes.idle_vram)
    for key, vram in (("large", sizes.large), ("little", sizes.little)):
        yield Row(key, f"{in_words(vram)} of VRAM, {in_words(sizes.part)} touched", "large", sizes.part, vram)
    for key, count in (("eight", 8), ("sixteen", 16)):
        yield Row(key, f"{key} at once beside {key} at work (worst blackout)", "crowd", count * sizes.part, sizes.part + 8 * MIB, 32 * MIB,
                  movers=count)
    mirrored = [("idle", f"idle, {in_words(sizes.idle)}", sizes.idle, None, 0)]
    mirrored += [(f"{rate}", f"{rate} MB/s over {in_words(sizes.busy)}", sizes.busy, rate * 1_000_000, 0) for rate in (50, 200, 1000)]
    mirrored += [("hot", f"200 MB/s over a hot {in_words(sizes.hot)}", sizes.busy, 200_000_000, sizes.hot)]
    for key, words, size, rate, hot in mirrored:
        yield Row(f"qemu-{key}", f"QEMU: {words}", "qemu", size, size, rate, hot=hot, page=PAGE)
    for content, size in (("drawing", sizes.picture[0] * sizes.picture[1] * 8), ("noise", sizes.picture[0] * sizes.picture[1] * 8)):
        for way in ("none", "lz4", "zstd", "auto"):
            yield Row(f"shaped-{content}-{way}", f"1 Gb/s, {in_words(size)} of {content}, {way}", "shaped", size, size + 32 * MIB,
                      options=("--compress", way))


def chosen(rows, wishes):
    """Those that are wished for by key, by the key's first words, or by a pattern: "200" is 200-64k and 200-4k."""
    if not wishes:
        return list(rows)
    rows = list(rows)
    picked = [row for row in rows if any(row.key.startswith(wish + "-") or fnmatch.fnmatch(row.key, wish) for wish in wishes)]
    for wish in wishes:
        if not any(row.key.startswith(wish + "-") or fnmatch.fnmatch(row.key, wish) for row in rows):
            raise ValueError(f"no row is called {wish}; there are {', '.join(row.key for row in rows)}")
    return picked


def one(row, left, right, seed):
    """Its partition made, moved and removed."""
    settle(left, right)
    try:
        start(left, row.key, row.vram, row.work(seed))
        settle(left, right)
        rate = 0 if row.rate is None else write_rate(left, row.key)
        return {**move(left, right, row.key, *row.options), "guest_bytes_per_s": rate}
    finally:
        remove(row.key, left, right)


def on_loopback(build, sizes, rows, seed):
    with hosts(build, f"{sizes.device},dirty-page={rows[0].page >> 10}K") as (left, right):
        for row in rows:
            yield row, one(row, left, right, seed)


def over_tls(build, sizes, rows, seed):
    with tempfile.TemporaryDirectory() as folder:
        with hosts(build, sizes.device, certificates(build, folder + "/certs")) as (left, right):
            for row in rows:
                yield row, one(row, left, right, seed)


def large(build, sizes, rows, seed):
    """A large partition beside a small one with the same content, on hosts that hold either."""
    with hosts(build, sizes.large_device) as (left, right):
        for row in rows:
            yield row, one(row, left, right, seed)


def crowd(build, sizes, rows, seed):
    """Many at once, each of which writes 32 MiB/s, beside as many that stay and work."""
    del seed  # each partition of a Load has its own
    for row in rows:
        load = Load(row.movers, row.movers, vram=row.vram, size=sizes.part, rate=row.rate, seconds=sizes.crowd_seconds)
        left, right = pair(build)
        with left, right:
            try:
                load.run(left, right, build)
            except (Failed, AssertionError) as error:
                yield row, {"outcome": "failed", "reason": str(error)}
                continue
        jobs = [part.job for part in load.moving()]
        yield row, {
            "outcome": "completed", "whole_ns": int(load.took_s * 1e9), "total_ns": max(job["total_ns"] for job in jobs),
            "rate_bytes_per_s": int(sum(job["bytes_sent"] for job in jobs) / load.took_s),
            "blackout_ns": max(job["blackout_ns"] for job in jobs), "blackouts_ns": [job["blackout_ns"] for job in jobs],
            "predicted_ns": [job["predicted_blackout_ns"] for job in jobs], "throttled_ns": max(job["throttled_ns"] for job in jobs),
            "rounds": statistics.median(len(job["rounds"]) for job in jobs), "bytes_sent": sum(job["bytes_sent"] for job in jobs)}
