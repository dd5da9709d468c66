"""Plain English: words that hide which user or component is meant are kept out of documents and some code."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORDS = re.compile(r"\b(nobody|somebody|whoever|anew)\b", re.IGNORECASE)
QUOTED = re.compile(r"`[^`\n]*`")  # what others call something: values of settings, code
PLAIN = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs/*.md",
    "docs/adr",
    "docs/guides",
    "tests/cli/test_docs.py",
    "tests/cli/test_readme.py",
    "tests/cli/test_operating_guide.py",
    "clients/browser/README.md",
    "clients/demo/README.md",
    "clients/demo/src",
    "service/tidings/cli",
    "tools",
)


def tracked_texts() -> list[Path]:
    """The files of `PLAIN` that Git tracks, without generated code."""
    command = ["git", "ls-files", "--", *PLAIN]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if "/gen/" not in name and (ROOT / name).is_file()]


@pytest.mark.parametrize("path", tracked_texts(), ids=lambda path: str(path.relative_to(ROOT)))
def test_people_without_a_role_are_not_mentioned(path: Path) -> None:
    text = path.read_text()
    for number, line in enumerate(text.splitlines(), 1):
        found = WORDS.search(QUOTED.sub("", line))
        assert not found, f"{path}:{number}: {found and found[0]}; say which user, client or reader is meant"
