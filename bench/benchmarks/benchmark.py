"""Benchmarks: work, figures, and the targets for them.

A benchmark declares the servers and the load that it needs, and gets them from a `BenchmarkRun`. It returns lines of
the table, each with a list of figures per server, one figure per measurement.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.run import BenchmarkRun

TIDINGS, RSOCKET_PY, RSOCKET_JS, BARE = "tidings", "rsocket-py", "rsocket-js", "bare"
JSON_FORMAT = "json_format"


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for a figure: at least or at most `bound` times the baseline's; without one, in the line's unit."""

    sign: Literal["≥", "≤"]
    bound: float
    baseline: str = ""
    series: str = ""  # empty: the subject of the line

    def __str__(self) -> str:
        what = f"{self.series} " if self.series else ""
        return f"{what}{self.sign} {self.bound:g}{f' × {self.baseline}' if self.baseline else ''}"


@dataclass(frozen=True, slots=True)
class TargetResult:
    """A target and its value; None where a peer is missing, or its figure is 0."""

    target: Target
    value: float | None

    @property
    def is_met(self) -> bool:
        """Whether the target was reached."""
        return self.value is not None and (
            self.value >= self.target.bound if self.target.sign == "≥" else self.value <= self.target.bound
        )


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the table: figures of several servers, or of several situations of one.

    The others are compared with `subject`.
    """

    title: str
    unit: str
    samples: Mapping[str, list[float]]
    targets: tuple[Target, ...] = ()
    note: str = ""
    errors: tuple[str, ...] = ()  # why the work was not done correctly: such a run fails
    subject: str = TIDINGS
    size: float = 0.0  # of the work, where a curve over sizes is drawn

    def median(self, name: str) -> float:
        """Of one server's figures."""
        return statistics.median(self.samples[name])

    def ratio(self, name: str, baseline: str) -> float | None:
        """One server's figures as multiples of another one's: the median over the turns, since the machine's noise is
        shared within a turn and not between them. None where the other one's figure is 0 in a turn."""
        own, others = self.samples[name], self.samples[baseline]
        if not all(others):
            return None
        if len(own) != len(others):
            return self.median(name) / self.median(baseline)
        return statistics.median(one / other for one, other in zip(own, others, strict=True))

    def target_results(self) -> list[TargetResult]:
        """Every target with its measured value."""
        return [TargetResult(target, self._value(target)) for target in self.targets]

    def _value(self, target: Target) -> float | None:
        series = target.series or self.subject
        if not self.samples.get(series) or (target.baseline and not self.samples.get(target.baseline)):
            return None
        return self.ratio(series, target.baseline) if target.baseline else self.median(series)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One kind of work: `measure` yields its lines. `description` is printed for the reader."""

    name: str
    description: str
    measure: Callable[[BenchmarkRun], Iterable[Measurement]]
    is_curve: bool = False  # its lines are sizes of the same work
    known_cause: str = ""  # the cause found by a profile; printed when a target is missed


@dataclass(slots=True)
class Samples:
    """Collects the results of repeated loads, turn by turn, so that noise affects all servers alike."""

    values: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    cpu_us: dict[str, list[float]] = field(default_factory=dict)

    @property
    def processor_note(self) -> str:
        """What one delivery or answer cost each server, which a noisy machine changes less than the pace."""
        said = [f"{name} {statistics.median(values):.1f} µs" for name, values in self.cpu_us.items()]
        return f"Processor time of the server for each: {', '.join(said)}." if said else ""

    def add(self, name: str, answer: Mapping[str, object], key: str = "value") -> None:
        """One more figure of a server."""
        value = answer[key]
        assert isinstance(value, (int, float))
        self.values.setdefault(name, []).append(float(value))
        cpu_us = answer.get("cpu_us")
        if isinstance(cpu_us, float) and cpu_us:
            self.cpu_us.setdefault(name, []).append(cpu_us)
        wrong = answer.get("errors") or ()
        assert isinstance(wrong, (list, tuple))
        self.errors += [f"{name}: {text}" for text in wrong]
