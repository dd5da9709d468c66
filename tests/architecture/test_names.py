"""Names that were given up do not come back: docs/glossary.md has the words in force."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

RETIRED = {
    *("admit", "admitted", "amend", "anew", "beats", "board", "boards", "cable", "complain", "crowds"),
    *("departed", "desk", "disguise", "doorkeeper", "doorway", "doubters", "emptied", "errand", "everybody"),
    *("exchange", "farewell", "fold", "gatherings", "happenings", "hired", "inboxes", "knock", "laggard"),
    *("laggards", "lane", "law", "lent", "objection", "patience", "reception", "rester", "resting", "roster"),
    *("seams", "siblings", "slate", "strangers", "stretch", "troubles", "typists", "weigh", "whoever"),
    *("wires", "zygote"),
}

COMMENTS_AND_STRINGS = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`", re.DOTALL
)
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def source_files(*suffixes: str) -> list[Path]:
    """Hand-written sources that Git tracks, with one of these suffixes."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in names.splitlines() if name.endswith(suffixes)]
    return [path for path in paths if path.is_file() and not {"gen", "web"} & set(path.relative_to(ROOT).parts)]


def defined_in_python(source: str) -> Iterator[str]:
    """Names that Python code defines: classes, functions, parameters, variables, attributes, import aliases.

    Names of tests are sentences and are left out.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                if not name.startswith("test_"):
                    yield name
            case ast.alias(asname=str(name)):
                yield name


def used_in_typescript(source: str) -> Iterator[str]:
    """Identifiers of TypeScript or JavaScript code, outside comments and strings."""
    yield from re.findall(r"[A-Za-z_$][\w$]*", COMMENTS_AND_STRINGS.sub(" ", source))


def words(identifier: str) -> set[str]:
    """The words of an identifier, in lower case: `snake_case`, `CamelCase` and `UPPER_CASE` alike."""
    return {word.lower() for part in identifier.split("_") for word in WORD.findall(part)}


def test_words_are_found_in_every_way_to_write_a_name() -> None:
    assert words("_read_slice_ms") == {"read", "slice", "ms"}
    assert words("HttpError2") == {"http", "error"}
    assert words("onTabClosed") == {"on", "tab", "closed"}
    assert words("PAGE_BYTES_MAX") == {"page", "bytes", "max"}


def test_definitions_of_every_kind_are_found() -> None:
    source = "import a as b\nclass C:\n    def d(self, e):\n        self.f = g = e\n        for h in e: pass\n"
    assert {"b", "C", "d", "e", "f", "g", "h"} <= set(defined_in_python(source))
    assert set(used_in_typescript("const a = b.c; // d\n/* e */ 'f' + `g`")) == {"const", "a", "b", "c"}


@pytest.mark.parametrize("path", source_files(".py", ".pyi"), ids=lambda path: str(path.relative_to(ROOT)))
def test_python_names_have_no_retired_word(path: Path) -> None:
    for name in {path.stem, *defined_in_python(path.read_text())}:
        assert not words(name) & RETIRED, f"{path}: {name}; see docs/glossary.md"


@pytest.mark.parametrize(
    "path", source_files(".ts", ".tsx", ".mjs", ".cjs"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_typescript_names_have_no_retired_word(path: Path) -> None:
    for name in {path.stem, *used_in_typescript(path.read_text())}:
        assert not words(name) & RETIRED, f"{path}: {name}; see docs/glossary.md"
