"""What a row is: work, figures, and the marks they shall reach.

A row does not measure by itself. It says which servers it needs and which load, and gets everything from a `Run`; what
it returns are lines of the table, each with one list of figures per server, a figure for every time it was measured.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.run import Run

TIDINGS, RSOCKET_PY, RSOCKET_JS, BARE = "tidings", "rsocket-py", "rsocket-js", "bare"
JSON_FORMAT = "json_format"


@dataclass(frozen=True, slots=True)
class Mark:
    """What `figure` must be: at least or at most `bound` times what `beside` has; alone, in the line's own unit."""

    sign: Literal["≥", "≤"]
    bound: float
    beside: str = ""
    figure: str = ""  # empty: the line's subject

    def __str__(self) -> str:
        what = f"{self.figure} " if self.figure else ""
        return f"{what}{self.sign} {self.bound:g}{f' × {self.beside}' if self.beside else ''}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A mark and what became of it; `value` None where a peer is missing, or measured 0 of what it is compared by."""

    mark: Mark
    value: float | None

    @property
    def reached(self) -> bool:
        """Whether the mark was reached."""
        return self.value is not None and (
            self.value >= self.mark.bound if self.mark.sign == "≥" else self.value <= self.mark.bound
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: figures of several servers, or of several situations of one. The `subject` is what the
    others are compared with."""

    title: str
    unit: str
    figures: Mapping[str, list[float]]
    marks: tuple[Mark, ...] = ()
    note: str = ""
    wrong: tuple[str, ...] = ()  # what shows that the work was not done: such a run fails
    subject: str = TIDINGS
    size: float = 0.0  # of the work, where a curve over sizes is drawn

    def median(self, name: str) -> float:
        """Of one server's figures."""
        return statistics.median(self.figures[name])

    def ratio(self, name: str, beside: str) -> float | None:
        """One server's figures as multiples of another one's: the median over the turns, since the machine's noise is
        shared within a turn and not between them. None where the other one's figure is 0 in a turn."""
        some, others = self.figures[name], self.figures[beside]
        if not all(others):
            return None
        if len(some) != len(others):
            return self.median(name) / self.median(beside)
        return statistics.median(one / other for one, other in zip(some, others, strict=True))

    def verdicts(self) -> list[Verdict]:
        """Every mark beside what was measured."""
        return [Verdict(mark, self._value(mark)) for mark in self.marks]

    def _value(self, mark: Mark) -> float | None:
        figure = mark.figure or self.subject
        if not self.figures.get(figure) or (mark.beside and not self.figures.get(mark.beside)):
            return None
        return self.ratio(figure, mark.beside) if mark.beside else self.median(figure)


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of work: `measure` gives its lines. `about` tells the reader what is done."""

    name: str
    about: str
    measure: Callable[[Run], Iterable[Line]]
    curve: bool = False  # its lines are sizes of the same work
    in_the_way: str = ""  # what the profile says when a mark is missed; told then only


@dataclass(slots=True)
class Figures:
    """Collects what repeated loads answer, turn by turn, so that a noisy minute hits everybody."""

    values: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    cpu_us: dict[str, list[float]] = field(default_factory=dict)

    @property
    def processor(self) -> str:
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
        wrong = answer.get("wrong") or ()
        assert isinstance(wrong, (list, tuple))
        self.wrong += [f"{name}: {text}" for text in wrong]
