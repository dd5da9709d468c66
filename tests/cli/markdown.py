"""Markdown as the tests of the documents need it: code blocks, tables behind a mark, links."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


class CodeBlock(NamedTuple):
    """A code block."""

    language: str
    title: str
    code: str


def documents() -> list[Path]:
    """All documents of the project."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(document: Path) -> list[CodeBlock]:
    """Its code blocks."""
    return [CodeBlock(*found) for found in FENCE.findall(document.read_text())]


def table(document: Path, mark: str) -> Iterator[list[str]]:
    """The cells of each row of the table that follows the comment `<!-- mark: … -->`, without heading and backticks."""
    text = document.read_text().partition(f"<!-- {mark}:")[2].partition("-->\n")[2]
    rows = text.partition("\n\n")[0].splitlines()
    assert len(rows) > 2, f"{document} has no table {mark}"
    for row in rows[2:]:
        yield [cell.strip().strip("`") for cell in row.strip().strip("|").split("|")]


def links(document: Path) -> list[str]:
    """What it links to, outside code blocks."""
    return LINK.findall(FENCE.sub("", document.read_text()))
