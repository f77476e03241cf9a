# SPDX-License-Identifier: Apache-2.0
"""The report's plots. Each takes the report and gives (title, a sentence how to read it, the SVG), or None where nothing of it was measured."""
from lab import PROCESSES
from report import GOOD_NS, GOOD_SHARE, median
from svg import Chart, Linear, Log

MS, S, GB, MIB, GIB = 1e6, 1e9, 1e9, 1 << 20, 1 << 30
RATES = ("idle", "50", "200", "1000", "full")


def rows_of(report):
    return {row["key"]: row for row in report["rows"]}


def at_rate(rows, rate, mark):
    if mark == "qemu":
        return rows.get(f"qemu-{rate}")
    return rows.get("idle" if (rate, mark) == ("idle", "64k") else f"{rate}-{mark}")


def blackout(report):
    """Blackout against write rate."""
    rows = rows_of(report)
    series = [("one", "64 KiB dirty pages", "64k"), ("two", "4 KiB dirty pages", "4k"), ("three", "QEMU", "qemu")]
    found = {(rate, mark): row for rate in RATES for _, _, mark in series if (row := at_rate(rows, rate, mark))}
    seen = [figure / MS for row in found.values() if row["blackout_ns"] for figure in row["blackout_ns"]["runs"]]
    if not seen:
        return None
    chart = Chart("Blackout against write rate")
    y = Log(max(0.5, min(seen)), max(seen), chart.bottom, chart.top)
    chart.y_axis(y, "blackout, ms")
    step = (chart.right - chart.left) / len(RATES)
    for i, rate in enumerate(RATES):
        chart.say(chart.left + step * (i + 0.5), chart.bottom + 16, rate, "tick", "middle")
    chart.x_label("random writes meanwhile, MB/s")
    for shift, (kind, words, mark) in zip((-7, 0, 7), series):
        places = []
        for i, rate in enumerate(RATES):
            row, x = found.get((rate, mark)), chart.left + step * (i + 0.5) + shift
            if row and row["blackout_ns"]:
                of = row["blackout_ns"]
                chart.line(x, y(of["min"] / MS), x, y(of["max"] / MS), f"{kind} whisker")
                places.append((x, y(of["median"] / MS)))
                chart.dot(*places[-1], kind, f"{row['title']}: {of['median'] / MS:.1f} ms ({of['min'] / MS:.1f} to {of['max'] / MS:.1f})")
            elif row:
                chart.say(x, chart.top + 10, "✕", f"{kind} mark", "middle")
        chart.path(places, kind)
    chart.legend([(kind, words) for kind, words, mark in series if any(at[1] == mark for at in found)])
    return chart.name, "Medians; the thin lines reach from the shortest run to the longest. ✕: no run completed.", chart.text()


def touched(report):
    """Whole time against touched bytes."""
    rows = [row for row in report["rows"] if (row["key"] == "idle" or row["key"].startswith("touch-")) and row["whole_ns"]]
    beside = [row for row in report["rows"] if row["key"] in ("large", "little") and row["whole_ns"]]
    if not rows and not beside:
        return None
    chart = Chart("Time against touched bytes")
    x = Linear(0, max(row["content_bytes"] for row in rows + beside) / MIB, chart.left, chart.right)
    y = Linear(0, max(row["whole_ns"]["max"] for row in rows + beside) / S, chart.bottom, chart.top)
    chart.y_axis(y, "command to end, s")
    chart.x_axis(x, "touched, MiB")
    limits = [(kind, words, median(report, name)) for kind, words, name in
              (("limit", "honest", "honest_bytes_per_s"), ("raw", "raw TCP", "tcp_bytes_per_s"))]
    for kind, _, rate in limits:
        if rate:
            end = min(x.high, y.high * rate / MIB)  # where it leaves the drawing
            chart.path([(x(0), y(0)), (x(end), y(end * MIB / rate))], f"{kind} dashed")
    places = sorted((x(row["content_bytes"] / MIB), y(row["whole_ns"]["median"] / S), row) for row in rows)
    chart.path([place[:2] for place in places], "one")
    for at, height, row in places:
        chart.dot(at, height, "one", f"{row['title']}: {row['whole_ns']['median'] / S:.2f} s")
    for row in beside:
        chart.dot(x(row["content_bytes"] / MIB), y(row["whole_ns"]["median"] / S), "two", f"{row['title']}: {row['whole_ns']['median'] / S:.2f} s")
    if qemu := rows_of(report).get("qemu-idle"):
        qemu = qemu if qemu["whole_ns"] else None
    if qemu:
        chart.dot(x(qemu["content_bytes"] / MIB), y(min(qemu["whole_ns"]["median"] / S, y.high)), "three", f"{qemu['title']}: {qemu['whole_ns']['median'] / S:.2f} s")
    chart.legend([("one", "vferry"), *([("three", "QEMU")] if qemu else []), *([("two", "large, small")] if beside else []), *((kind, words) for kind, words, rate in limits if rate)])
    ratio = median(report, "large_to_little")
    more = f" Large and small: VRAM with the same little in it. With large VRAM a move takes {ratio:.2f} times as long as with small VRAM of the same content." if ratio else ""
    return chart.name, f"Idle partitions, the whole command. Dashed: what the bytes alone would take.{more}", chart.text()


def rates(report):
    """Bars beside the two limits of the same run."""
    rows = rows_of(report)
    bars = [("raw", "raw TCP", report, "tcp_bytes_per_s"), ("raw", "by 128 KiB", report, "tcp_128k_bytes_per_s"),
            ("limit", "honest limit", report, "honest_bytes_per_s"),
            ("one", "vferry", rows.get("idle"), "rate_bytes_per_s"), ("two", "vferry, TLS", rows.get("tls"), "rate_bytes_per_s")]
    bars = [(kind, words, rate, row) for kind, words, row, figure in bars if (rate := median(row, figure))]
    if not bars:
        return None
    chart = Chart("Rates", height=70 + 44 * len(bars), left=92, top=12)
    x = Linear(0, max(bar[2] for bar in bars) / GB, chart.left, chart.right)
    chart.x_axis(x, "GB/s", grid=True)
    for i, (kind, words, rate, row) in enumerate(bars):
        top = chart.top + 6 + 44 * i
        chart.say(chart.left - 8, top + 14, words, "tick", "end")
        chart.bar(chart.left, top, x(rate / GB) - chart.left, 18, kind, f"{words}: {rate / GB:.2f} GB/s")
        told = f"{rate / GB:.2f}"
        if kind == "limit":
            told += f" = {median(report, 'honest_to_tcp'):.2f} of TCP"
        elif kind != "raw":
            told += f" = {median(row, 'rate_to_honest'):.2f} of honest, {median(row, 'rate_to_tcp'):.2f} of TCP"
        chart.say(chart.left, top + 32, told, "tick")
    return chart.name, "The honest limit does what the contract forces and nothing else. Ratios are of the same run, then medians.", chart.text()


def predicted(report):
    """Predicted against real blackout."""
    if not report["prediction"]:
        return None
    moves = report["prediction"]["moves"]
    seen = [move[key] / MS for move in moves for key in ("predicted_ns", "blackout_ns")]
    chart = Chart("Predicted and real blackout", height=340)
    x, y = Log(min(seen), max(seen), chart.left, chart.right), Log(min(seen), max(seen), chart.bottom, chart.top)
    chart.y_axis(y, "real, ms")
    chart.x_axis(x, "predicted before the pause, ms", grid=True)
    steps = [x.low * (x.high / x.low) ** (i / 60) for i in range(61)]
    # Good: the difference is at most so many ms, or such a share of what came out.
    upper = [max(at + GOOD_NS / MS, at / (1 - GOOD_SHARE)) for at in steps]
    lower = [min(max(at - GOOD_NS / MS, 0), at / (1 + GOOD_SHARE)) for at in steps]
    chart.area([(x(at), y(high)) for at, high in zip(steps, upper)] + [(x(at), y(low)) for at, low in zip(steps[::-1], lower[::-1])], "band")
    chart.path([(x(x.low), y(x.low)), (x(x.high), y(x.high))], "limit dashed")
    for move in moves:
        chart.dot(x(move["predicted_ns"] / MS), y(move["blackout_ns"] / MS), "one soft",
                  f"{move['row']}: predicted {move['predicted_ns'] / MS:.1f} ms, came out {move['blackout_ns'] / MS:.1f} ms")
    told = report["prediction"]
    return (chart.name, f"A dot a move. Shaded: within {GOOD_SHARE * 100:.0f} % or {GOOD_NS / MS:.0f} ms, as {told['within'] * 100:.0f} % are; "
            f"median apart: {told['median_share'] * 100:.0f} %, {told['median_apart_ns'] / MS:.1f} ms.", chart.text())


def timeline(report):
    """One move: its rounds, and below them its blackout."""
    if not report["timeline"]:
        return None
    job = report["timeline"]["job"]
    rounds = [one for one in job["rounds"] if one["duration_ns"] is not None]
    chart = Chart("One move", height=340, bottom=130)
    lead = max(0, job["brownout_ns"] - sum(one["duration_ns"] for one in rounds[:-1]))  # Prepare and what lies between rounds
    total = job["brownout_ns"] + job["blackout_ns"]
    x = Linear(0, total / S, chart.left, chart.right)
    y = Log(1 / 256, max(one["bytes"] for one in rounds) / MIB + 1, chart.bottom, chart.top)
    chart.y_axis(y, "sent, MiB")
    at = lead
    for number, one in enumerate(rounds, 1):
        last = number == len(rounds)
        begin, width = (job["brownout_ns"], job["blackout_ns"]) if last else (at, one["duration_ns"])
        top = y(max(one["bytes"] / MIB, y.low))
        chart.bar(x(begin / S), top, x((begin + width) / S) - x(begin / S) - 0.5, chart.bottom - top, "two" if last else "one",
                  f"round {number}: {one['bytes'] / MIB:.2f} MiB in {one['duration_ns'] / MS:.1f} ms" + (", in the blackout" if last else ""))
        at += one["duration_ns"]
    chart.x_axis(x, f"s ({len(rounds)} rounds, slowed for {(job['throttled_ns'] or 0) / MS:.0f} ms in all)")
    phases = [(name.removesuffix("_ns"), value) for name, value in job["blackout"].items() if value]
    whole, begin, top = sum(value for _, value in phases) or 1, float(chart.left), chart.bottom + 70
    chart.say(chart.left, top - 8, f"the blackout, {job['blackout_ns'] / MS:.1f} ms:", "legend")
    words = []
    for number, (name, value) in enumerate(phases):
        width = value / whole * (chart.right - chart.left)
        chart.bar(begin, top, width, 18, f"shade{number % 6}", f"{name}: {value / MS:.2f} ms")
        begin += width
        words.append(f"{name} {value / MS:.1f}")
    for number, word in enumerate(words):
        column = chart.left + (number % 3) * 132
        chart.bar(column, top + 24 + 15 * (number // 3), 9, 9, f"shade{number % 6}")
        chart.say(column + 14, top + 33 + 15 * (number // 3), word, "tick")
    chart.legend([("one", "rounds while it works"), ("two", "the round in the blackout")])
    return chart.name, f"{report['timeline']['title']}: the run with the median blackout.", chart.text()


def cpu(report):
    """Where the CPU time goes."""
    rows = [row for key in ("idle", "tls") if (row := rows_of(report).get(key)) and row.get("cpu")]
    if not rows:
        return None
    chart = Chart("CPU time of the four processes", height=80 + len(rows) * 132, left=104)
    per = {row["key"]: row["content_bytes"] / GIB for row in rows}
    most = max(sum(row["cpu"][name].values()) / per[row["key"]] for row in rows for name in PROCESSES)
    x = Linear(0, most or 1, chart.left, chart.right)
    chart.x_axis(x, "CPU seconds a GiB", grid=True)
    for number, row in enumerate(rows):
        chart.say(chart.left, chart.top + 12 + number * 132, row["title"], "legend")
        for line, name in enumerate(PROCESSES):
            top, begin = chart.top + 20 + number * 132 + line * 26, float(chart.left)
            chart.say(chart.left - 8, top + 14, name.replace("_", " "), "tick", "end")
            for kind, part in (("one", "user_s"), ("two", "system_s")):
                value = row["cpu"][name][part] / per[row["key"]]
                if value:
                    chart.bar(begin, top, x(value) - chart.left, 18, kind, f"{name}, {part.removesuffix('_s')}: {value:.2f} s a GiB")
                    begin += x(value) - chart.left
    chart.legend([("one", "user"), ("two", "system")])
    return chart.name, "The kernel sides hold the GPU, so their time is the copies' too.", chart.text()


def shaped(report):
    """Whole time over a link of 1 Gb/s, by way of compression."""
    rows = [row for row in report["rows"] if row["stage"] == "shaped" and row["whole_ns"]]
    if not rows:
        return None
    chart = Chart("Compression over 1 Gb/s", height=70 + 30 * len(rows), left=112, top=12)
    x = Linear(0, max(row["whole_ns"]["median"] for row in rows) / S, chart.left, chart.right)
    chart.x_axis(x, "command to end, s", grid=True)
    for number, row in enumerate(rows):
        _, content, way = row["key"].split("-")
        value, top = row["whole_ns"]["median"] / S, chart.top + 4 + 30 * number
        chart.say(chart.left - 8, top + 15, f"{content}, {way}", "tick", "end")
        chart.bar(chart.left, top, x(value) - chart.left, 20, "limit" if way == "none" else "one", f"{row['title']}: {value:.2f} s")
        inside = x(value) - chart.left > 40
        chart.say(chart.left + 8 if inside else x(value) + 6, top + 15, f"{value:.2f}", "inside" if inside else "tick")
    return chart.name, "The same content by each way; grey: without compression.", chart.text()


ALL = (blackout, touched, rates, predicted, timeline, cpu, shaped)
