"""Writing a file: complete or not at all, and to what its name means."""

import os
import stat
import threading
from pathlib import Path

import pytest

from tidings.cli.atomic_file import open_atomic
from tidings.cli.errors import CliError


def write(path: Path, text: str) -> None:
    with open_atomic(path) as file:
        file.write(text)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "new", "text\n")
    finally:
        os.umask(before)
    assert (tmp_path / "new").read_text() == "text\n"
    assert mode(tmp_path / "new") == 0o640


def test_a_private_file_stays_private(tmp_path: Path) -> None:
    (tmp_path / "old").touch(0o600)
    write(tmp_path / "old", "text\n")
    assert mode(tmp_path / "old") == 0o600
    assert os.listdir(tmp_path) == ["old"]


def test_a_file_keeps_its_content_when_writing_fails(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("before\n")
    writing = open_atomic(tmp_path / "old")
    writing.__enter__().write("half")
    with pytest.raises(ZeroDivisionError):
        writing.gen.throw(ZeroDivisionError)  # type: ignore[attr-defined]
    assert (tmp_path / "old").read_text() == "before\n"
    assert os.listdir(tmp_path) == ["old"]


def test_the_temporary_file_is_private_and_no_other_file_is_touched(tmp_path: Path) -> None:
    (tmp_path / "old.part").write_text("somebody's\n")
    (tmp_path / "link.part").symlink_to(tmp_path / "old.part")
    for name in ("old", "link"):
        with open_atomic(tmp_path / name) as file:
            file.write("x")
            (temporary,) = (path for path in tmp_path.iterdir() if path.name.startswith("."))
            assert mode(temporary) == 0o600
    assert (tmp_path / "old.part").read_text() == "somebody's\n"
    assert (tmp_path / "link.part").is_symlink()


def test_a_symlink_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("before\n")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "dangling").symlink_to("made")
    write(tmp_path / "link", "after\n")
    write(tmp_path / "dangling", "after\n")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "after\n"
    assert (tmp_path / "made").read_text() == "after\n"


def test_a_hard_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a longer text than the new one\n")
    os.link(tmp_path / "one", tmp_path / "two")
    write(tmp_path / "one", "after\n")
    assert (tmp_path / "two").read_text() == "after\n"
    assert (tmp_path / "one").stat().st_nlink == 2


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    write(Path("/dev/null"), "text\n")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert not list(Path("/dev").glob(".null.*"))


def test_a_pipe_gets_what_is_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    write(tmp_path / "pipe", "text\n")
    reader.join(30)
    assert read == ["text\n"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_folder_and_a_missing_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="is a folder"), open_atomic(tmp_path):
        pass
    with pytest.raises(CliError, match="there is no folder"), open_atomic(tmp_path / "no" / "file"):
        pass
