"""The rows of the table, in the order in which they are measured."""

from bench.rows import compression, crowds, durable, fanout, history, payloads, ping, presence, scale, start
from bench.rows.row import Row

ALL: tuple[Row, ...] = (
    *fanout.ROWS,
    *compression.ROWS,
    *ping.ROWS,
    *durable.ROWS,
    *payloads.ROWS,
    *history.ROWS,
    *crowds.ROWS,
    *presence.ROWS,
    *start.ROWS,
    *scale.ROWS,
)


QUICK_CURVES = ("scale-fanout", "scale-search")  # the loads of the others are those of the rows themselves


def chosen(names: str, *, quick: bool = False) -> list[Row]:
    """The rows named, separated by commas; a name that is no row's own stands for all that begin with it."""
    if not names:
        return [row for row in ALL if not (quick and row.curve) or row.name in QUICK_CURVES]
    found: dict[str, Row] = {}
    for name in names.split(","):
        rows = [row for row in ALL if row.name == name] or [row for row in ALL if row.name.startswith(name)]
        if not rows:
            raise SystemExit(f"there is no row {name!r}; there are: {', '.join(row.name for row in ALL)}")
        found |= {row.name: row for row in rows}
    return list(found.values())
