"""The numbered RSocket checklist, item by item: `python tests/conformance_report.py [pytest arguments]`.

Runs every test whose name contains `test_item_NN_`, wherever it is under `tests/`, and prints a line for each number:
its title, pass or fail, and how many tests stand behind it. The exit code is not zero when an item fails or has no
test; items that are not offered yet say so and do not count.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ITEM = re.compile(r"test_item_(\d+)_")

TITLES = {
    1: "header: 31-bit stream id, 6-bit type, 10-bit flags, big-endian",
    2: "no frame above 16,777,215 bytes on any transport",
    3: "TCP has a 24-bit length, WebSocket has none",
    4: "undefined flag bits: sent 0, ignored when received",
    5: "metadata length present exactly when it must be",
    6: "inconsistent metadata length ends the connection",
    7: "empty metadata is not absent metadata",
    8: "what is not understood: skipped with I, the end without",
    9: "the fifteen frame types and their numbers",
    10: "order within a stream; stream 0 goes first",
    11: "SETUP or RESUME first, on stream 0",
    12: "version 1.0 and no other",
    13: "keepalive interval and lifetime above 0",
    14: "resume token present exactly when R is set",
    15: "MIME types with 8-bit lengths, ASCII",
    16: "MIME types are the application's business",
    17: "rejection: ERROR on stream 0, then the end",
    18: "resumable SETUP refused while resumption is not offered",
    19: "SETUP with lease is answered with LEASE or refused",
    20: "second SETUP ignored, late RESUME refused",
    21: "misdirected SETUP and setup errors ignored",
    22: "requests wait, bounded, until SETUP is accepted",
    23: "silence before SETUP has an end",
    24: "SETUP's own metadata and data arrive",
    25: "client sends KEEPALIVE at the interval it declared",
    26: "KEEPALIVE echoed verbatim, once",
    27: "server sends KEEPALIVE of its own",
    28: "KEEPALIVE positions",
    29: "silent peer declared dead after its lifetime",
    30: "any frame is a sign of life; echoes are prompt",
    31: "KEEPALIVE only on stream 0, capped in size and rate",
    32: "with leases, no request before a LEASE",
    33: "LEASE: time to live and number, the last one counts",
    34: "requests beyond the lease refused, never made",
    35: "a fragmented request counts once; waiting is not timed out",
    36: "request n is above 0 and has 31 bits",
    37: "never more payloads than credit",
    38: "2^31-1 is unbounded; credit saturates",
    39: "two independent credits per channel",
    40: "more than was granted ends the stream",
    41: "missing or stray REQUEST_N is no error",
    42: "producers pause with the socket; bytes are bounded",
    43: "request-response: exactly one answer, N and C together",
    44: "fire-and-forget: nothing comes back",
    45: "stream: items, then one end",
    46: "channel: one request, then payloads by credit",
    47: "channel requester does not wait for a first REQUEST_N",
    48: "channel halves complete one by one",
    49: "ERROR ends both directions",
    50: "requester's CANCEL ends both directions",
    51: "responder's CANCEL ends the requester's half",
    52: "PAYLOAD has N or C; F beside C means nothing",
    53: "lost transport ends every stream",
    54: "error codes of the connection; CONNECTION_CLOSE waits",
    55: "error codes of streams, never on stream 0",
    56: "application codes pass, up to 31 bits",
    57: "error text: UTF-8, no NUL, bounded",
    58: "ERROR on stream 0 is the end; draining comes before",
    59: "fragments: first has the type, the rest are PAYLOAD",
    60: "metadata before data; N on every fragment",
    61: "C on the last fragment; taken from first or last",
    62: "full fragments, no empty last one",
    63: "reassembly bounded",
    64: "a fragment run is not interrupted by its own stream",
    65: "CANCEL and ERROR discard unfinished payloads",
    66: "METADATA_PUSH on stream 0, with or without M",
    67: "METADATA_PUSH limited in rate, never answered",
    68: "EXT respects I and is never sent",
    69: "frames for busy and unknown streams ignored",
    70: "nothing sent on streams the peer does not know",
    71: "stream ids: odd for clients, even for servers",
    72: "stream ids in any order, with gaps",
    73: "stream ids wrap and are used again",
    74: "RESUME handshake of the client",
    75: "RESUME with an unknown token refused",
    76: "positions count encoded bytes of stream frames",
    77: "resumption accepted when positions meet; retransmission",
    78: "positions go on after RESUME_OK",
    79: "retransmission buffer trimmed and bounded",
    80: "session kept for a while without transport",
    81: "resume token rules",
    82: "RESUME takes over from a transport that looks alive",
    83: "RESUME version 1.0 and 0.1",
    84: "KEEPALIVE carries the true position",
    85: "ERROR data that keeps positions true",
    86: "WebSocket: binary messages, offered subprotocol selected",
    87: "text messages and empty messages",
    88: "WebSocket messages up to 16,777,215 bytes; compressed where both agree",
    89: "TCP: lengths below 6 and above the cap refused",
    90: "composite metadata",
    91: "routing metadata",
    92: "authentication metadata, also the older bearer type",
    93: "MIME types per stream",
    94: "tracing metadata",
    95: "well-known MIME ids",
    96: "CloudEvents",
}
LATER = dict.fromkeys(range(74, 86), "later: resumption") | {96: "not offered"}


class Tally:
    """A pytest plugin that keeps the numbered tests, and counts how each ends."""

    def __init__(self) -> None:
        self.passed: Counter[int] = Counter()
        self.failed: Counter[int] = Counter()

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        numbered = [item for item in items if ITEM.search(item.name)]
        others = [item for item in items if not ITEM.search(item.name)]
        config.hook.pytest_deselected(items=others)
        items[:] = numbered

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = ITEM.search(report.nodeid)
        if found is None:
            return
        number = int(found[1])
        if report.when == "call" and report.passed:
            self.passed[number] += 1
        elif not report.passed:  # failed, or skipped: a test that did not run proves nothing
            self.failed[number] += 1

    def verdict(self, number: int) -> str:
        if self.failed[number]:
            return "FAIL"
        if self.passed[number]:
            return "pass"
        return LATER.get(number, "MISSING")


def main(arguments: list[str]) -> int:
    tally = Tally()
    quiet = ["-q", "--no-header", "--no-summary", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    broken = pytest.main([*quiet, *(arguments or [str(ROOT / "tests")])], plugins=[tally])
    print()
    verdicts = {number: tally.verdict(number) for number in sorted({*TITLES, *tally.passed, *tally.failed})}
    for number, verdict in verdicts.items():
        tests = tally.passed[number] + tally.failed[number]
        count = f"{tests} test{'s' * (tests != 1)}" if tests else ""
        print(f"{number:3}  {verdict:17}  {count:>9}  {TITLES.get(number, 'not in the checklist')}")
    count = Counter(
        "later" if number in LATER and verdict == LATER[number] else verdict for number, verdict in verdicts.items()
    )
    print("\n" + ", ".join(f"{count[each]} {each}" for each in ("pass", "FAIL", "MISSING", "later") if count[each]))
    bad = count["FAIL"] or count["MISSING"] or broken not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
