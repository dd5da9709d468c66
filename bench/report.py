"""The table on the screen, `RESULTS.md`, and what stands above it: machine, versions, commit.

What was measured is also kept as JSON beside the cache, a file for each row, so that a run of one row renews that row
and leaves the others as they were, each with the date, the commit and the load of its own run.
"""

import datetime
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import chart
from bench.rows.row import Line, Mark, Row, Verdict
from bench.run import ROOT, Run

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
KEPT = HERE / "results.json"
CHARTS = HERE / "charts"
LIBRARIES = ("uvloop", "picows", "aiohttp", "apsw", "protobuf", "rsocket")


def number(value: float) -> str:
    """Three digits that matter."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(line: Line, name: str) -> str:
    """Median, and in brackets the smallest and largest."""
    values = line.figures[name]
    if len(values) == 1:
        return number(values[0])
    return f"{number(line.median(name))} ({number(min(values))}–{number(max(values))})"


def ratio(line: Line, name: str) -> str:
    """The subject's figure as a multiple of another one's."""
    times = line.ratio(line.subject, name)
    return "not measured" if times is None else f"{times:.2f} ×"


def verdicts(line: Line) -> str:
    """The marks, each with what became of it."""
    said = []
    for verdict in line.verdicts():
        sign = "✓" if verdict.reached else "✗"
        said.append(f"{sign} {verdict.mark} ({reached(verdict)})")
    return "; ".join(said)


def reached(verdict: Verdict) -> str:
    """What was measured where the mark stands."""
    return "not measured" if verdict.value is None else number(verdict.value)


def line_of_text(line: Line) -> str:
    """One line of the progress."""
    figures = ", ".join(f"{name} {spread(line, name)}" for name in line.figures)
    return f"    {line.title}: {figures} {line.unit}  {verdicts(line)}"


def table_of_text(lines: Sequence[Line]) -> str:
    """The whole table for a screen."""
    out = []
    for line in lines:
        out.append(f"{line.title}  [{line.unit}]")
        for name in line.figures:
            beside = "" if name == line.subject else f"   ratio {ratio(line, name)}"
            out.append(f"    {name:<14} {spread(line, name):<40}{beside}")
        if line.marks:
            out.append(f"    {verdicts(line)}")
        if line.note:
            out.append(f"    {line.note}")
    return "\n".join(out)


# --- the file -------------------------------------------------------------------------------------------------------


def kept() -> dict[str, Any]:
    """What was measured last, by row."""
    found: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return found


def stamp() -> dict[str, str]:
    """When, of what, and beside how much else: to be asked for when a row ends."""
    at = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    return {"commit": commit(), "at": at, "load": f"{os.getloadavg()[0]:.1f}"}


def write(
    measured: Mapping[Row, Sequence[Line]],
    seconds: Mapping[Row, float],
    stamps: Mapping[Row, Mapping[str, str]],
    run: Run,
) -> list[Path]:
    """RESULTS.md and a chart for each row; rows that were not measured, or broke, keep what they had."""
    entries = kept()
    for row, lines in measured.items():
        if lines:
            entries[row.name] = {
                "about": row.about,
                "curve": row.curve,
                "lines": [asdict(line) for line in lines],
                "seconds": round(seconds[row], 1),
                "times": run.times,
                **stamps[row],
            }
    KEPT.write_text(json.dumps(_ordered(entries), indent=1, ensure_ascii=False) + "\n")
    return render()


def _ordered(entries: Mapping[str, Any]) -> dict[str, Any]:
    from bench.rows import ALL

    return {row.name: entries[row.name] for row in ALL if row.name in entries}


def render() -> list[Path]:
    """RESULTS.md and the charts, from what was kept."""
    ordered = _ordered(kept())
    shutil.rmtree(CHARTS, ignore_errors=True)
    CHARTS.mkdir()
    paths = [RESULTS]
    for name, entry in ordered.items():
        path = CHARTS / f"{name}.svg"
        lines = [revived(line) for line in entry["lines"]]
        path.write_text(chart.curves(lines) if entry["curve"] else chart.bars(lines))
        paths.append(path)
    RESULTS.write_text(document(ordered))
    return paths


def revived(line: dict[str, Any]) -> Line:
    """A line from its JSON."""
    marks = tuple(Mark(**mark) for mark in line["marks"])
    return Line(**{**line, "marks": marks, "wrong": tuple(line["wrong"])})


def document(ordered: Mapping[str, Any]) -> str:
    """RESULTS.md."""
    seconds = [entry.get("seconds", 0.0) for entry in ordered.values()]
    took = f"All rows together took {sum(seconds) / 60:.0f} minutes.\n\n" if all(seconds) else ""
    parts = [
        INTRODUCTION.format(machine=machine(), versions=versions(), took=took),
        glance(ordered),
        missed(ordered),
    ]
    for name, entry in ordered.items():
        lines = [revived(line) for line in entry["lines"]]
        parts.append(f"## {name}\n\n{sentence(entry['about'])}\n")
        parts.append(table(lines))
        noted = [line for line in lines if line.note]
        parts += [f"{f'{line.title}: ' if len(noted) > 1 else ''}{line.note}\n" for line in noted]
        parts.append(f"![{name}](charts/{name}.svg)\n")
        parts.append(
            f"<sub>{entry['at']}, commit {entry['commit']}, {runs(lines)}, load average {entry['load']}</sub>\n"
        )
    return "\n".join(parts)


def sentence(text: str) -> str:
    """With a capital and a full stop; a method keeps its name."""
    first = text.split()[0]
    return f"{text if '.' in first else text[0].upper() + text[1:]}."


def runs(lines: Sequence[Line]) -> str:
    """How often its figures were measured."""
    times = {len(values) for line in lines for values in line.figures.values()}
    least, most = min(times), max(times)
    return f"{most} run{'s' if most > 1 else ''}" if least == most else f"{least} to {most} runs"


def glance(ordered: Mapping[str, Any]) -> str:
    """Every line that has marks, with what became of them."""
    rows = ["| | median | marks |", "| --- | --- | --- |"]
    for name, entry in ordered.items():
        for line in map(revived, entry["lines"]):
            if line.marks and line.figures.get(line.subject):
                median = f"{number(line.median(line.subject))} {line.unit}"
                said = verdicts(line).replace("; ", "<br>")
                rows.append(f"| [{line.title}](#{name}) | {median} | {said} |")
    return "\n".join(("## At a glance\n", *rows, ""))


def missed(ordered: Mapping[str, Any]) -> str:
    """Every row that misses a mark, with what its definition says stands in the way."""
    from bench.rows import ALL

    reasons = {row.name: row.in_the_way for row in ALL}
    said = []
    for name, entry in ordered.items():
        marks = [
            f"{line.title}, which needs {verdict.mark} and has {reached(verdict)}"
            for line in map(revived, entry["lines"])
            for verdict in line.verdicts()
            if not verdict.reached
        ]
        if marks:
            why = reasons.get(name) or "Nobody has looked yet."
            said.append(f"- **[{name}](#{name})**: {'; '.join(marks)}. *What stands in the way:* {why}")
    return "\n".join(("## Marks that are missed\n", *(said or ["None."]), ""))


def table(lines: Sequence[Line]) -> str:
    """The lines of a row as Markdown."""
    names = list(dict.fromkeys(name for line in lines for name in line.figures))
    rows = [["", *names, "ratio", "marks"]]
    for line in lines:
        cells = [spread(line, name) if line.figures.get(name) else "–" for name in names]
        ratios = [f"{ratio(line, name)} {name}" for name in line.figures if name != line.subject]
        rows.append([f"{line.title}, {line.unit}", *cells, "<br>".join(ratios), verdicts(line).replace("; ", "<br>")])
    rows.insert(1, ["---"] * len(rows[0]))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


INTRODUCTION = """# Results

Made by `make bench`; do not edit. Every figure stands beside its peers, measured in the same run, turn by turn: the
median, in brackets the smallest and the largest. A ratio is the median of the ratios of all turns; compare ratios, not
numbers of different machines.

- **tidings**: `tidings serve --dev`. Real protocol: SETUP with identity, composite metadata, Protobuf, permission
  check; sent messages are on the disk before they are answered or delivered. Texts have 100 bytes. Python may keep the
  modules that it compiled, as where a program is installed, here and for its peers.
- **rsocket-py**, **rsocket-js**: the same messages by those libraries' servers, rooms in memory, nothing stored, nobody
  asked for permission (`bench/peers/`).
- **bare**: a minimal program that writes the same bytes to the same sockets, answers the same bytes, or commits the
  same rows, and does nothing else.
- The server has one core for itself, the load comes from a second process on the other one, over loopback. Latencies of
  streams of messages are open-loop: time runs from the moment when a message was due, so that a missed slot counts.
- Beside every fan-out stands a check: one reader's events are parsed and must be every sequence number once, in order;
  every other reader must have got the very same bytes. A run that is fast and wrong fails.
- Below each table stands the machine's load average at the end of that row. Above the number of cores it means that
  other programs took turns with the server: paces are low then and scatter, and the processor times tell more.
- Rows called `scale-…` are the same work at a tenth and at ten times the size where the machine allows, in fewer and
  shorter loads: they show how a figure grows, not how large it is. The slope in their charts is the power of the size
  that it grows with.

{took}Machine: {machine}

Versions: {versions}

"""


def machine() -> str:
    """What it ran on."""
    model = platform.processor() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text()
        model = next(line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name"))
        memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
        size = f", {int(memory.split()[1]) / 1024**2:.0f} GiB"
    except (OSError, StopIteration):
        size = ""
    return f"{os.cpu_count()} cores of {model}{size}, {platform.system()} {platform.release()}"


def versions() -> str:
    """Of what takes part."""
    said = [f"Python {platform.python_version()}", *_installed(LIBRARIES)]
    try:
        said.append(f"Node {said_by('node', '--version')}")
        said.append("rsocket-js 0.0.27")
    except OSError:
        said.append("no Node: rsocket-js is missing in the tables")
    return ", ".join(said)


def _installed(names: Iterable[str]) -> list[str]:
    return [f"{name} {metadata.version(name)}" for name in names]


def commit() -> str:
    """What was measured."""
    try:
        changed = "+" if said_by("git", "status", "--porcelain", "--", "service") else ""
        return said_by("git", "rev-parse", "--short", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def said_by(*command: str) -> str:
    """The output of a command."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
