"""The check on the protos finds what would break clients that are out there."""

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAT = "tidings/v1/chat.proto"


@pytest.fixture
def compare() -> Callable[[Path], None]:
    """What `make lint` compares the protos with the release by."""
    tools: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "protos.py"))
    checked: Callable[[Path], None] = tools["check_breaking"]
    return checked


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    """A copy of the protos, to be changed."""
    return Path(shutil.copytree(ROOT / "protos", tmp_path / "protos"))


def test_the_protos_as_they_are_break_nothing(compare: Callable[[Path], None], protos: Path) -> None:
    compare(protos)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("string client_id = 2;", "string client_id = 12;", '"2" with name "client_id"'),
        ("string client_id = 2;", "bytes client_id = 2;", 'Field "2" with name "client_id"'),
        ("string client_id = 2;", "string key = 2;", 'Field "2"'),
        ("rpc Delete(DeleteRequest)", "rpc Remove(DeleteRequest)", '"Delete"'),
        (
            "rpc Watch(WatchRequest) returns (stream WatchItem)",
            "rpc Watch(WatchRequest) returns (WatchItem)",
            '"Watch"',
        ),
        ("LATEST = 1;", "LATEST = 4;", '"1"'),
        ('java_package = "tidings.v1"', 'java_package = "tidings.v2"', "java_package"),
        ('go_package = "tidings/v1;tidingsv1"', 'go_package = "tidings/v1"', "go_package"),
        ("bool duplicate = 3;", "optional bool duplicate = 3;", '"duplicate"'),
    ],
)
def test_a_change_that_breaks_clients_is_found(
    compare: Callable[[Path], None],
    protos: Path,
    capfd: pytest.CaptureFixture[str],
    before: str,
    after: str,
    complaint: str,
) -> None:
    chat = protos / CHAT
    text = chat.read_text()
    assert before in text
    chat.write_text(text.replace(before, after, 1))
    with pytest.raises(SystemExit) as ended:
        compare(protos)
    assert ended.value.code
    assert complaint in capfd.readouterr().out


def test_what_is_only_added_breaks_nothing(compare: Callable[[Path], None], protos: Path) -> None:
    chat = protos / CHAT
    text = chat.read_text()
    chat.write_text(text.replace("string client_id = 2;", "string client_id = 2;\n  string mood = 99;", 1))
    compare(protos)
