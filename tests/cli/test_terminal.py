"""Other people's text on a terminal: it may look like anything and do nothing."""

import pytest

from tidings.cli.terminal import escape_controls, indent_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),  # clears the screen
        ("\x1b]52;c;cm0gLXJm\x07", r"\x1b]52;c;cm0gLXJm\x07"),  # sets the clipboard
        ("\x9b31m", r"\x9b31m"),  # the same as ESC [ in one character
        ("safe\rroot", r"safe\rroot"),  # overwrites the line
        ("a\x08b\x7f", r"a\x08b\x7f"),
        ("a\x85b\u2028c\u2029d", r"a\x85b\u2028c\u2029d"),  # line breaks that are no line feed
        ("\u202egnp.exe", r"\u202egnp.exe"),  # reads as exe.png
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("\ud800", r"\ud800"),
        ("a\tb", "a    b"),
    ],
)
def test_what_could_act_on_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert escape_controls(text) == shown


@pytest.mark.parametrize(
    "text", ["天気がいい", "שלום עליכם", "مرحبا", "e\u0301", "👩\u200d👩\u200d👧", "[bold]x[/bold]", "a\\b"]
)
def test_text_of_any_alphabet_stays_as_it_is(text: str) -> None:
    assert escape_controls(text) == text


def test_later_lines_are_indented_so_that_none_looks_like_another_message() -> None:
    assert indent_lines("one\n#2 12:00:00 root: two\n") == "one\n    #2 12:00:00 root: two\n    "
