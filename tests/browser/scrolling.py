"""Scrolls as a reader does, and checks that no message in sight moves."""

from dataclasses import dataclass

from playwright.async_api import Locator

# Runs in the page. Scrolls up to the beginning, less than a screen at a time. Every row that is in sight before and
# after a step must have moved by exactly as much as was scrolled, whatever was put above it meanwhile.
SCROLL_UP = """
async (log, {first, tolerancePx}) => {
  const seen = new Set();
  const errors = new Set();
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const numberOf = (row) => Number(/message (\\d+)/.exec(row.textContent)?.[1]);
  let rowsBefore;
  const look = () => {
    const rows = [...log.querySelectorAll('article')];
    if (rows[0] !== rowsBefore?.[0] || rows.length !== rowsBefore.length) {
      const numbers = rows.map(numberOf);
      const twice = numbers.filter((number, place) => numbers.indexOf(number) !== place);
      for (const number of twice) errors.add(`message ${number} is there twice`);
      rowsBefore = rows;
    }
    const {top, bottom} = log.getBoundingClientRect();
    const places = new Map();
    for (const row of rows) {
      const at = row.getBoundingClientRect();
      if (at.bottom > top && at.top < bottom) places.set(numberOf(row), at.bottom);
    }
    for (const number of places.keys()) if (number) seen.add(number);
    return places;
  };
  while (log.scrollHeight - log.clientHeight - log.scrollTop < 5) await frame(); // until the wheel has turned
  for (;;) {
    const before = look();
    const step = Math.min(log.clientHeight * 0.8, log.scrollTop);
    log.scrollTop -= step;
    await frame();
    const after = look();
    const both = [...after].filter(([number]) => before.has(number));
    for (const [number, bottom] of both) {
      const moved = bottom - before.get(number) - step;
      if (Math.abs(moved) > tolerancePx) errors.add(`message ${number} jumped by ${moved} px`);
    }
    if (!both.length) errors.add(`nothing that was in sight is: ${[...before.keys()]}, then ${[...after.keys()]}`);
    if (seen.has(first) && log.scrollTop === 0) return {numbers: [...seen], errors: [...errors]};
  }
}
"""


@dataclass(frozen=True)
class ScrollResult:
    """The numbers of the messages that were in sight, and errors: rows that jumped or were there twice."""

    numbers: list[int]
    errors: list[str]


async def scroll_up_to(log: Locator, *, first: int = 1, tolerance_px: float = 2.0) -> ScrollResult:
    """Read up to the message of number `first`. Messages carry their number as "message 17"."""
    # A turn of the wheel, which tells the page that the user leaves the newest message.
    await log.hover()
    await log.page.mouse.wheel(0, -10)
    return ScrollResult(**await log.evaluate(SCROLL_UP, {"first": first, "tolerancePx": tolerance_px}))
