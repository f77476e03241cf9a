# SPDX-License-Identifier: Apache-2.0
"""build/bench/report.html: the report as one page that asks nobody for anything, for a phone, a screen and paper."""
import html as markup
import time

import plots
from report import COLUMNS, GIB, cells, remark, median, spread

STYLE = """
:root{--back:#fff;--ink:#1b1f24;--dim:#5b6470;--grid:#e3e6ea;--one:#1f5fbf;--two:#c2500f;--three:#1d7f5c;--limit:#7a828c;--raw:#b4bac2;--band:#1f5fbf22;--card:#f6f7f9}
@media (prefers-color-scheme:dark){:root{--back:#14171b;--ink:#e8eaed;--dim:#a2abb6;--grid:#2c323a;--one:#6aa5f5;--two:#f0924f;--three:#4fc08d;--limit:#8b949f;
--raw:#59626d;--band:#6aa5f52b;--card:#1c2026}}
@media print{:root{--back:#fff;--ink:#000;--dim:#444;--grid:#ddd;--one:#1f5fbf;--two:#c2500f;--three:#1d7f5c;--limit:#7a828c;--raw:#b4bac2;--band:#1f5fbf22;--card:#fff}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}main{max-width:none}figure{border:1px solid #ccc}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;margin:.2em 0}h2{font-size:1.1rem;margin:1.6em 0 .5em}
p{margin:.4em 0}.dim{color:var(--dim);font-size:.9rem}.note{border-left:4px solid var(--two);padding:.2em .8em;margin:.8em 0}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.6rem;margin:1rem 0}
.facts div{background:var(--card);border-radius:8px;padding:.6rem .8rem}.facts b{display:block;font-size:1.35rem}.facts span{color:var(--dim);font-size:.85rem}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1rem}
figure{margin:0;background:var(--card);border-radius:8px;padding:.8rem;break-inside:avoid}
figcaption b{display:block}figcaption{font-size:.9rem;color:var(--dim)}figcaption b{color:var(--ink);font-size:1rem}
svg{width:100%;height:auto;display:block}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.3em .5em;border-bottom:1px solid var(--grid);white-space:nowrap}
th:first-child,td:first-child{text-align:left;white-space:normal;min-width:11rem}thead th{color:var(--dim);font-weight:500}tr{break-inside:avoid}
text{fill:var(--ink);font:12px system-ui,sans-serif}.tick,.legend{font-size:12px}.tick{fill:var(--dim)}.label{fill:var(--dim);font-size:12px}
.inside{fill:var(--back);font-size:12px;font-weight:600}
.grid{stroke:var(--grid)}.axis{stroke:var(--dim)}
.one{fill:var(--one)}.two{fill:var(--two)}.limit{fill:var(--limit)}.raw{fill:var(--raw)}.band{fill:var(--band)}
.soft{fill-opacity:.55}.whisker{stroke-width:2;stroke-opacity:.45}.mark{font-weight:700}
.one.whisker,.one.path{stroke:var(--one)}.two.whisker,.two.path{stroke:var(--two)}.three{fill:var(--three)}.three.whisker,.three.path{stroke:var(--three)}
.limit.path{stroke:var(--limit)}.raw.path{stroke:var(--raw)}
.path{fill:none;stroke-width:2}.dashed{stroke-dasharray:5 4}
.shade0{fill:var(--one)}.shade1{fill:var(--two)}.shade2{fill:var(--limit)}.shade3{fill:var(--three)}.shade4{fill:#a05bc4}.shade5{fill:#c9a227}
"""


def facts(report):
    """The few figures that say most."""
    rows = {row["key"]: row for row in report["rows"]}
    raw, honest, told = median(report, "tcp_bytes_per_s"), median(report, "honest_bytes_per_s"), report["prediction"]
    found = [("raw TCP", raw and f"{raw / 1e9:.2f} GB/s"), ("honest limit", honest and f"{honest / 1e9:.2f} GB/s")]
    if "idle" in rows and (rate := median(rows["idle"], "rate_bytes_per_s")):
        found += [("a move", f"{rate / 1e9:.2f} GB/s"), ("of the honest limit", f"{median(report, 'copy_to_honest'):.2f}"),
                   (f"whole command, {rows['idle']['title']}", f"{median(rows['idle'], 'whole_ns') / 1e9:.2f} s"),
                  ("blackout, idle", f"{median(rows['idle'], 'blackout_ns') / 1e6:.1f} ms")]
    for key, words in (("200-64k", "blackout, 200 MB/s"), ("1000-64k", "blackout, 1000 MB/s"), ("full-64k", "blackout, full speed")):
        if key in rows and (blackout := median(rows[key], "blackout_ns")):
            found.append((words, f"{blackout / 1e6:.1f} ms"))
    if told:
        found.append(("real blackout apart from what was predicted", f"{told['median_share'] * 100:.0f} %"))
    return "".join(f"<div><b>{markup.escape(value)}</b><span>{markup.escape(words)}</span></div>" for words, value in found if value)


def notes(report):
    machine = report["machine"]
    if report["small"]:
        yield "Made with --small: it shows that the benchmark works, its figures mean nothing."
    if report["runs"] < 5:
        yield f"{report['runs']} of each: no medians to rely on, for which it takes 5 runs."
    if machine["load_before"] > 0.5:
        yield f"The machine had other work: its load was {machine['load_before']} when this began."
    raw = report["tcp_bytes_per_s"]
    if raw and raw["max"] > 1.3 * raw["min"]:
        yield f"Raw TCP itself made {raw['min'] / 1e9:.2f} to {raw['max'] / 1e9:.2f} GB/s: something else was at work in some of the runs."
    if machine.get("sanitizer"):
        yield f"The build carries the {machine['sanitizer']} sanitizer, which slows everything."


def table(report):
    head = "".join(f"<th>{markup.escape(name)}</th>" for name in ("", *COLUMNS, "blackout from … to"))
    lines = []
    for entry in report["rows"]:
        name = markup.escape(entry["title"]) + (f" <b>{markup.escape(remark(entry))}</b>" if remark(entry) else "")
        lines.append(f"<tr><td>{name}</td>" + "".join(f"<td>{markup.escape(cell)}</td>" for cell in (*cells(entry), spread(entry))) + "</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def html(report):
    machine = report["machine"]
    about = (f"{machine['processors']} × {machine['model']}, {machine['memory_bytes'] / GIB:.0f} GiB, Linux {machine['kernel']}; "
             f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(machine['began_unix']))}; {report['runs']} runs, interleaved; medians")
    figures = "".join(f"<figure><figcaption><b>{markup.escape(made[0])}</b>{markup.escape(made[1])}</figcaption>{made[2]}</figure>"
                      for plot in plots.ALL if (made := plot(report)))
    warned = "".join(f'<p class="note">{markup.escape(note)}</p>' for note in notes(report))
    skipped = "".join(f"<li>{markup.escape(what)}: {markup.escape(why)}</li>" for what, why in report["skipped"].items())
    left_out = f"<h2>Not measured</h2><ul>{skipped}</ul>" if skipped else ""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark"><title>vferry: how fast a partition moves</title><style>{STYLE}</style></head>
<body><main><h1>How fast a partition moves</h1><p class="dim">{markup.escape(about)}</p>{warned}
<div class="facts">{facts(report)}</div><div class="plots">{figures}</div>
<h2>Every row</h2>{table(report)}
<p class="dim">whole: from the command to its end. GB/s: from the first page frame to the last, by the job's own figure (of a crowd: all bytes in
all the time). of honest, of TCP: beside the limits of the same run. throttled, predicted and blackout in ms, of
QEMU as it tells it, in whole ms. writes: what the guest reached by itself just before, which may be less than was asked for.</p>{left_out}
</main></body></html>
"""
