# SPDX-License-Identifier: Apache-2.0
"""build/bench/report.json: what was measured, with medians; docs/performance.md describes its members. And the terminal's table of it."""
import os
import pathlib
import platform
import statistics
import time

from lab import CHUNK, PROCESSES, STREAMS

FIGURES = ("whole_ns", "total_ns", "rate_bytes_per_s", "blackout_ns", "predicted_blackout_ns", "throttled_ns", "throttle_max", "rounds",
           "bytes_sent", "guest_bytes_per_s")
GIB = 1 << 30
# A prediction is good when it differs by no more than one of these.
GOOD_SHARE, GOOD_NS = 0.25, 3_000_000


def summary(values):
    values = [value for value in values if value is not None]
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": values} if values else None


def median(entry, figure):
    """Of a row of the report; None where there is none."""
    found = entry and entry.get(figure)
    return found["median"] if found else None


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    with open("/proc/meminfo", encoding="ascii") as info:
        memory = int(next(info).split()[1]) * 1024
    return {"processors": len(os.sched_getaffinity(0)), "model": models[0] if models else platform.machine(), "memory_bytes": memory,
            "kernel": platform.release(), "load_before": round(os.getloadavg()[0], 2), "began_unix": int(time.time())}


def row_entry(row, records, limits):
    """One row over all runs. Ratios are of the same run."""
    good = [record for record in records if record["outcome"] == "completed"]
    outcomes = [record["outcome"] for record in records]
    entry = {"key": row.key, "title": row.title, "stage": row.stage, "content_bytes": row.content, "vram_bytes": row.vram,
             "write_bytes_per_s": row.rate, "hot_bytes": row.hot or None, "dirty_page_bytes": row.page, "moves_at_once": row.movers,
             "outcomes": {name: outcomes.count(name) for name in sorted(set(outcomes))}}
    reasons = [record["reason"] for record in records if record.get("reason")]
    if reasons:
        entry["reason"] = reasons[0]
    for figure in FIGURES:
        entry[figure] = summary([record.get(figure) for record in good])
    for name in limits[0] if row.stage != "shaped" else ():  # the limits are loopback's
        entry[f"rate_to_{name}"] = summary([record["rate_bytes_per_s"] / limits[record["run"]][name] for record in good])
    if good and "cpu" in good[0]:
        entry["cpu"] = {name: {kind: statistics.median(record["cpu"][name][kind] for record in good) for kind in ("user_s", "system_s")}
                        for name in PROCESSES}
    entry["runs"] = records
    return entry


def prediction(entries):
    """How far what was expected before the pause is from what came out, over every move."""
    pairs = [{"row": entry["key"], "predicted_ns": record["predicted_blackout_ns"], "blackout_ns": record["blackout_ns"]}
             for entry in entries for record in entry["runs"] if record.get("predicted_blackout_ns") and record.get("blackout_ns")]
    if not pairs:
        return None
    apart = [abs(pair["blackout_ns"] - pair["predicted_ns"]) for pair in pairs]
    shares = [gap / pair["blackout_ns"] for gap, pair in zip(apart, pairs)]
    good = [share <= GOOD_SHARE or gap <= GOOD_NS for share, gap in zip(shares, apart)]
    return {"moves": pairs, "median_apart_ns": statistics.median(apart), "median_share": statistics.median(shares),
            "within": sum(good) / len(good)}


def timeline(entries):
    """The job of the run whose blackout is the median, of the row that says most of how a move goes."""
    for key in ("200-64k", "200-4k", "50-64k", "1000-64k", "hot-64k", "full-64k", "idle"):
        entry = next((entry for entry in entries if entry["key"] == key), None)
        good = sorted((record for record in entry["runs"] if record["outcome"] == "completed"), key=lambda r: r["blackout_ns"]) if entry else []
        if good:
            return {"row": key, "title": entry["title"], "job": good[(len(good) - 1) // 2]["job"]}
    return None


def older_members(rows, limits, device):
    """What report.json had from its first version on, and keeps: who reads it goes on to."""
    idle, churn, tls, sixteen = (rows.get(key) for key in ("idle", "200-64k", "tls", "sixteen"))
    older = {"streams": STREAMS, "chunk_bytes": CHUNK, "content_bytes": idle["content_bytes"] if idle else None, "device": device,
             "churn_bytes_per_s": churn["write_bytes_per_s"] if churn else None,
             "tcp_bytes_per_s": summary([one["tcp"] for one in limits]), "tcp_128k_bytes_per_s": summary([one["tcp_128k"] for one in limits]),
             "honest_bytes_per_s": summary([one["honest"] for one in limits]),
             "honest_to_tcp": summary([one["honest"] / one["tcp"] for one in limits])}
    for name, entry, figure in (("copy_bytes_per_s", idle, "rate_bytes_per_s"), ("copy_to_tcp", idle, "rate_to_tcp"),
                                ("copy_to_honest", idle, "rate_to_honest"), ("blackout_idle_ns", idle, "blackout_ns"),
                                ("blackout_churn_ns", churn, "blackout_ns"), ("rounds_churn", churn, "rounds"),
                                ("tls_copy_bytes_per_s", tls, "rate_bytes_per_s"), ("blackout_tls_idle_ns", tls, "blackout_ns")):
        older[name] = entry[figure] if entry else None
    older["tls_to_copy"] = None
    if idle and tls:
        plain = {record["run"]: record.get("rate_bytes_per_s") for record in idle["runs"]}
        older["tls_to_copy"] = summary([record["rate_bytes_per_s"] / plain[record["run"]] for record in tls["runs"]
                                        if record.get("rate_bytes_per_s") and plain.get(record["run"])])
    if sixteen and sixteen["whole_ns"]:
        older["crowd"] = {"moves_at_once": sixteen["moves_at_once"], "working_beside": sixteen["moves_at_once"],
                          "took_ns": sixteen["whole_ns"]["median"],
                          "blackout_ns": summary([one for record in sixteen["runs"] for one in record.get("blackouts_ns", [])])}
    return older


def ratios(records, above, below):
    """Of two rows' whole times, run by run."""
    times = {record["run"]: record["whole_ns"] for record in records.get(below, ()) if record["outcome"] == "completed"}
    return summary([record["whole_ns"] / times[record["run"]] for record in records.get(above, ())
                    if record["outcome"] == "completed" and record["run"] in times])


def make(rows, records, limits, skipped, device, **more):
    entries = [row_entry(row, records[row.key], limits) for row in rows if records.get(row.key)]
    by_key = {entry["key"]: entry for entry in entries}
    for entry in entries:
        if entry["stage"] == "shaped":
            entry["whole_to_none"] = ratios(records, entry["key"], entry["key"].rsplit("-", 1)[0] + "-none")
    return {"schema": "vferry.bench/2", **more, **older_members(by_key, limits, device), "limits": limits, "rows": entries,
            "skipped": skipped, "large_to_little": ratios(records, "large", "little"), "prediction": prediction(entries), "timeline": timeline(entries)}


def number(value, factor, digits):
    return "-" if value is None else f"{value / factor:.{digits}f}"


COLUMNS = ("writes MB/s", "whole s", "GB/s", "of honest", "of TCP", "blackout ms", "predicted", "throttled", "rounds")


def cells(entry):
    """The figures of a row as text, in COLUMNS' order: for the terminal and the page alike."""
    rate = None if entry["stage"] == "shaped" else median(entry, "rate_bytes_per_s")  # of packed bytes it would say nothing
    return (number(median(entry, "guest_bytes_per_s") or None, 1e6, 0), number(median(entry, "whole_ns"), 1e9, 2), number(rate, 1e9, 2),
            number(median(entry, "rate_to_honest"), 1, 2), number(median(entry, "rate_to_tcp"), 1, 2),
            number(median(entry, "blackout_ns"), 1e6, 1), number(median(entry, "predicted_blackout_ns"), 1e6, 1),
            number(median(entry, "throttled_ns"), 1e6, 0), number(median(entry, "rounds"), 1, 0))


def spread(entry):
    of = entry["blackout_ns"]
    return f"{of['min'] / 1e6:.1f} … {of['max'] / 1e6:.1f}" if of else "-"


def remark(entry):
    """How the runs of a row ended, where not all completed; and what packing does to the time."""
    if set(entry["outcomes"]) != {"completed"}:
        return ", ".join(f"{name} {count}" for name, count in entry["outcomes"].items())
    ratio = median(entry, "whole_to_none")
    return f"{ratio:.2f} of the time without" if ratio and not entry["key"].endswith("-none") else ""


def table(report):
    wide = max([len(entry["title"]) for entry in report["rows"]] + [26])
    for name, title in (("tcp", "raw TCP"), ("tcp_128k", "raw TCP, pieces of 128 KiB"), ("honest", "the honest limit")):
        found = median(report, f"{name}_bytes_per_s")
        if found:
            yield f"{title:<{wide}}{'':>9}{found / 1e9:>8.2f}"
    yield f"{'':<{wide}}" + "".join(f"{name:>{max(8, len(name) + 2)}}" for name in COLUMNS)
    for entry in report["rows"]:
        line = "".join(f"{cell:>{max(8, len(name) + 2)}}" for name, cell in zip(COLUMNS, cells(entry)))
        yield f"{entry['title']:<{wide}}{line}  {remark(entry)}".rstrip()
    yield from last_lines(report)


def last_lines(report):
    for what, why in report["skipped"].items():
        yield f"not measured: {what}: {why}"
    if report["large_to_little"]:
        yield f"large VRAM takes {median(report, 'large_to_little'):.2f} times as long as small VRAM of the same content"
    told = report["prediction"]
    if told:
        yield (f"predicted and real blackout: {told['median_share'] * 100:.0f} % and {told['median_apart_ns'] / 1e6:.1f} ms apart (medians of "
               f"{len(told['moves'])} moves); {told['within'] * 100:.0f} % of them within {GOOD_SHARE * 100:.0f} % or {GOOD_NS / 1e6:.0f} ms")


BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def fill(path, report):
    """Puts the table between the two marks of a page; a ValueError where its figures are no good for that."""
    if report["small"] or report["runs"] < 5:
        raise ValueError("only a report of at least 5 runs, of true sizes, is worth keeping")
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{path}: has not exactly one {BEGIN} and one {END}")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n" + "\n".join(page_lines(report)) + f"\n{END}{after}", encoding="utf-8")


def page_lines(report):
    about = report["machine"]
    yield (f"{time.strftime('%Y-%m-%d', time.gmtime(about['began_unix']))}, {about['processors']} x {about['model']}, "
           f"{about['memory_bytes'] / GIB:.0f} GiB, Linux {about['kernel']}; {report['runs']} runs, medians; load before it began: {about['load_before']}.")
    yield ""
    yield "Raw TCP {:.2f} GB/s, by pieces of 128 KiB {:.2f} GB/s, the honest limit {:.2f} GB/s.".format(
        *(median(report, f"{name}_bytes_per_s") / 1e9 for name in ("tcp", "tcp_128k", "honest")))
    yield ""
    yield "| | " + " | ".join(COLUMNS) + " | |"
    yield "|---" * (len(COLUMNS) + 2) + "|"
    for entry in report["rows"]:
        yield f"| {entry['title']} | " + " | ".join(cells(entry)) + f" | {remark(entry)} |"
    yield ""
    yield from (line[:1].upper() + line[1:] + "." for line in last_lines(report))


def write(folder, name, text):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
