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
from bench.benchmarks.benchmark import Benchmark, Measurement, Target, TargetResult
from bench.run import ROOT, BenchmarkRun

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
RESULTS_JSON = HERE / "results.json"
CHARTS = HERE / "charts"
LIBRARIES = ("uvloop", "picows", "aiohttp", "apsw", "protobuf", "rsocket")


def format_number(value: float) -> str:
    """Three digits that matter."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def format_spread(line: Measurement, name: str) -> str:
    """Median, and in brackets the smallest and largest."""
    values = line.samples[name]
    if len(values) == 1:
        return format_number(values[0])
    return f"{format_number(line.median(name))} ({format_number(min(values))}–{format_number(max(values))})"


def format_ratio(line: Measurement, name: str) -> str:
    """The subject's figure as a multiple of another one's."""
    multiple = line.ratio(line.subject, name)
    return "not measured" if multiple is None else f"{multiple:.2f} ×"


def format_targets(line: Measurement) -> str:
    """The marks, each with what became of it."""
    parts = []
    for result in line.target_results():
        sign = "✓" if result.is_met else "✗"
        parts.append(f"{sign} {result.target} ({format_value(result)})")
    return "; ".join(parts)


def format_value(result: TargetResult) -> str:
    """The measured value of a target."""
    return "not measured" if result.value is None else format_number(result.value)


def format_measurement(line: Measurement) -> str:
    """One line of the progress."""
    samples = ", ".join(f"{name} {format_spread(line, name)}" for name in line.samples)
    return f"    {line.title}: {samples} {line.unit}  {format_targets(line)}"


def format_table(lines: Sequence[Measurement]) -> str:
    """The whole table for a screen."""
    out = []
    for line in lines:
        out.append(f"{line.title}  [{line.unit}]")
        for name in line.samples:
            beside = "" if name == line.subject else f"   ratio {format_ratio(line, name)}"
            out.append(f"    {name:<14} {format_spread(line, name):<40}{beside}")
        if line.targets:
            out.append(f"    {format_targets(line)}")
        if line.note:
            out.append(f"    {line.note}")
    return "\n".join(out)


# --- the file -------------------------------------------------------------------------------------------------------


def load_results() -> dict[str, Any]:
    """What was measured last, by row."""
    found: dict[str, Any] = json.loads(RESULTS_JSON.read_text()) if RESULTS_JSON.exists() else {}
    return found


def run_info() -> dict[str, str]:
    """When, of what, and beside how much else: to be asked for when a row ends."""
    at = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    return {"commit": commit(), "at": at, "load": f"{os.getloadavg()[0]:.1f}"}


def write(
    measured: Mapping[Benchmark, Sequence[Measurement]],
    seconds: Mapping[Benchmark, float],
    stamps: Mapping[Benchmark, Mapping[str, str]],
    run: BenchmarkRun,
) -> list[Path]:
    """RESULTS.md and a chart for each row; rows that were not measured, or broke, keep what they had."""
    entries = load_results()
    for row, lines in measured.items():
        if lines:
            entries[row.name] = {
                "description": row.description,
                "is_curve": row.is_curve,
                "lines": [asdict(line) for line in lines],
                "seconds": round(seconds[row], 1),
                "times": run.repetitions,
                **stamps[row],
            }
    RESULTS_JSON.write_text(json.dumps(_in_order(entries), indent=1, ensure_ascii=False) + "\n")
    return render()


def _in_order(entries: Mapping[str, Any]) -> dict[str, Any]:
    from bench.benchmarks import ALL_BENCHMARKS

    return {row.name: entries[row.name] for row in ALL_BENCHMARKS if row.name in entries}


def render() -> list[Path]:
    """RESULTS.md and the charts, from what was kept."""
    ordered = _in_order(load_results())
    shutil.rmtree(CHARTS, ignore_errors=True)
    CHARTS.mkdir()
    paths = [RESULTS]
    for name, entry in ordered.items():
        path = CHARTS / f"{name}.svg"
        lines = [measurement_from_json(line) for line in entry["lines"]]
        path.write_text(chart.curves(lines) if entry["is_curve"] else chart.bars(lines))
        paths.append(path)
    RESULTS.write_text(render_document(ordered))
    return paths


def measurement_from_json(line: dict[str, Any]) -> Measurement:
    """A line from its JSON."""
    targets = tuple(Target(**target) for target in line["targets"])
    return Measurement(**{**line, "targets": targets, "errors": tuple(line["errors"])})


def render_document(ordered: Mapping[str, Any]) -> str:
    """RESULTS.md."""
    seconds = [entry.get("seconds", 0.0) for entry in ordered.values()]
    total_time = f"All rows together took {sum(seconds) / 60:.0f} minutes.\n\n" if all(seconds) else ""
    parts = [
        INTRODUCTION.format(machine=machine(), versions=versions(), took=total_time),
        render_overview(ordered),
        render_missed_targets(ordered),
    ]
    for name, entry in ordered.items():
        lines = [measurement_from_json(line) for line in entry["lines"]]
        parts.append(f"## {name}\n\n{as_sentence(entry['description'])}\n")
        parts.append(render_table(lines))
        with_notes = [line for line in lines if line.note]
        parts += [f"{f'{line.title}: ' if len(with_notes) > 1 else ''}{line.note}\n" for line in with_notes]
        parts.append(f"![{name}](charts/{name}.svg)\n")
        parts.append(
            f"<sub>{entry['at']}, commit {entry['commit']}, {format_runs(lines)}, load average {entry['load']}</sub>\n"
        )
    return "\n".join(parts)


def as_sentence(text: str) -> str:
    """With a capital and a full stop; a method keeps its name."""
    first = text.split()[0]
    return f"{text if '.' in first else text[0].upper() + text[1:]}."


def format_runs(lines: Sequence[Measurement]) -> str:
    """How often its figures were measured."""
    times = {len(values) for line in lines for values in line.samples.values()}
    least, most = min(times), max(times)
    return f"{most} run{'s' if most > 1 else ''}" if least == most else f"{least} to {most} runs"


def render_overview(ordered: Mapping[str, Any]) -> str:
    """Every line that has marks, with what became of them."""
    rows = ["| | median | targets |", "| --- | --- | --- |"]
    for name, entry in ordered.items():
        for line in map(measurement_from_json, entry["lines"]):
            if line.targets and line.samples.get(line.subject):
                median = f"{format_number(line.median(line.subject))} {line.unit}"
                said = format_targets(line).replace("; ", "<br>")
                rows.append(f"| [{line.title}](#{name}) | {median} | {said} |")
    return "\n".join(("## At a glance\n", *rows, ""))


def render_missed_targets(ordered: Mapping[str, Any]) -> str:
    """Every row that misses a target, with the known cause."""
    from bench.benchmarks import ALL_BENCHMARKS

    reasons = {row.name: row.known_cause for row in ALL_BENCHMARKS}
    items = []
    for name, entry in ordered.items():
        targets = [
            f"{line.title}, which needs {result.target} and has {format_value(result)}"
            for line in map(measurement_from_json, entry["lines"])
            for result in line.target_results()
            if not result.is_met
        ]
        if targets:
            why = reasons.get(name) or "Not examined yet."
            items.append(f"- **[{name}](#{name})**: {'; '.join(targets)}. *Known cause:* {why}")
    return "\n".join(("## Targets that are missed\n", *(items or ["None."]), ""))


def render_table(lines: Sequence[Measurement]) -> str:
    """The lines of a row as Markdown."""
    names = list(dict.fromkeys(name for line in lines for name in line.samples))
    rows = [["", *names, "ratio", "targets"]]
    for line in lines:
        cells = [format_spread(line, name) if line.samples.get(name) else "–" for name in names]
        ratios = [f"{format_ratio(line, name)} {name}" for name in line.samples if name != line.subject]
        rows.append(
            [f"{line.title}, {line.unit}", *cells, "<br>".join(ratios), format_targets(line).replace("; ", "<br>")]
        )
    rows.insert(1, ["---"] * len(rows[0]))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


INTRODUCTION = """# Results

Generated by `make bench`; do not edit. Tidings and its peers are measured in the same run, turn by turn. A figure is
the median, in brackets the smallest and the largest value. A ratio is the median of the ratios of all turns; compare
ratios, not figures of different machines.

- **tidings**: `tidings serve --dev`. Real protocol: SETUP with identity, composite metadata, Protobuf, permission
  check; sent messages are on the disk before they are acknowledged or delivered. Texts have 100 bytes. Python may cache
  compiled modules, as for an installed program, here and for its peers.
- **rsocket-py**, **rsocket-js**: the same messages by those libraries' servers, rooms in memory, nothing stored, no
  permission checked (`bench/peers/`).
- **bare**: a minimal program that writes the same bytes to the same sockets, answers the same bytes, or commits the
  same rows, and does nothing else.
- The server has one core for itself, the load comes from a second process on the other one, over loopback. Latencies of
  streams of messages are open-loop: time runs from the moment when a message was due, so that a missed slot counts.
- Every fan-out is checked: one reader's events are parsed and must have every sequence number once, in order; every
  other reader must have received the same bytes. A run that is fast and wrong fails.
- Below each table is the machine's load average at the end of that row. Above the number of cores, other programs
  competed with the server: rates are lower then and vary, and processor times are more reliable.
- Rows called `scale-…` are the same work at a tenth and at ten times the size where the machine allows, in fewer and
  shorter loads: they show how a figure grows, not how large it is. The slope in their charts is the power of the size
  that it grows with.

{took}Machine: {machine}

Versions: {versions}

"""


def machine() -> str:
    """The machine of the run."""
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
    """The versions of the programs and libraries."""
    parts = [f"Python {platform.python_version()}", *_installed(LIBRARIES)]
    try:
        parts.append(f"Node {command_output('node', '--version')}")
        parts.append("rsocket-js 0.0.27")
    except OSError:
        parts.append("no Node: rsocket-js is missing in the tables")
    return ", ".join(parts)


def _installed(names: Iterable[str]) -> list[str]:
    return [f"{name} {metadata.version(name)}" for name in names]


def commit() -> str:
    """The commit of the service that was measured."""
    try:
        changed = "+" if command_output("git", "status", "--porcelain", "--", "service") else ""
        return command_output("git", "rev-parse", "--short", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def command_output(*command: str) -> str:
    """The output of a command."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
