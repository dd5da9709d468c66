"""Lines of a file to import."""

import io
import json

import pytest

from tidings.cli.errors import CliError
from tidings.cli.import_lines import LINE_BYTES_MAX, ImportLine, InvalidLine, ParsedLine, SkippedLine, read_lines


def read(*lines: str | bytes) -> list[ParsedLine]:
    """What the lines say, each ended by a line feed."""
    data = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
    return list(read_lines(io.BytesIO(data)))


def key(line: ParsedLine) -> str:
    assert isinstance(line, ImportLine), line
    return line.client_id


def test_a_line_is_a_message_with_its_text_and_what_it_answers() -> None:
    [line] = read('{"text": "天気", "reply_to": 3}')
    assert isinstance(line, ImportLine)
    assert (line.number, line.text, line.reply_to) == (1, "天気", 3)
    assert 1 <= len(line.client_id) <= 64


def test_bytes_of_all_lines_add_up_to_the_file() -> None:
    lines = ['{"text": "a"}', "", "nonsense", '{"text": "é"}\r', "x" * (LINE_BYTES_MAX + 100), '{"text": "b"}']
    data = "\n".join(lines).encode()
    assert sum(line.size_bytes for line in read_lines(io.BytesIO(data))) == len(data)


def test_the_same_line_in_another_place_is_another_message() -> None:
    first, second = read('{"text": "ok"}', '{"text": "ok"}')
    assert key(first) != key(second)


def test_the_same_file_gives_the_same_keys_and_a_corrected_line_changes_only_its_own() -> None:
    before = read('{"text": "a"}', '{"text": "b"}', '{"text": "c"}')
    after = read('{"text": "a"}', '{"text": "B"}', '{"text": "c"}', '{"text": "d"}')
    assert [key(b) == key(a) for b, a in zip(before, after, strict=False)] == [True, False, True]


def test_an_id_is_the_key_wherever_the_line_stands() -> None:
    [first] = read('{"id": "m-1", "text": "a"}')
    _, moved = read("", '{"id": "m-1", "text": "a"}')
    assert key(first) == key(moved)
    assert len({key(line) for line in read('{"id": 1, "text": "a"}', '{"id": 2, "text": "a"}')}) == 2


def test_of_an_export_only_messages_are_taken() -> None:
    lines = read(
        '{"room": "a", "seq": "1", "changed": {"created": true}}',
        '{"room": "a", "seq": "2", "actor": "bob", "posted": {"text": "hi", "replyTo": "1"}}',
        '{"room": "a", "seq": "3", "posted": {"deleted": true}}',
        '{"room": "a", "seq": "4", "edited": {"target": "2", "text": "ho"}}',
    )
    assert [type(line) for line in lines] == [SkippedLine, ImportLine, SkippedLine, SkippedLine]
    assert isinstance(lines[1], ImportLine)
    assert (lines[1].text, lines[1].reply_to) == ("hi", 0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("hello", 'it is not an object; write {"text": "…"}'),
        (b'{"text": "\xff"}', 'it is not UTF-8 from byte 10 on; write {"text": "…"}'),
        ('["text"]', 'it is not an object; write {"text": "…"}'),
        ("{}", "text is missing"),
        ('{"text": 1}', "text must be a string"),
        ('{"text": "a", "reply_to": -1}', "reply_to must be the number of a message"),
        ('{"text": "a", "reply_to": true}', "reply_to must be the number of a message"),
        ('{"text": "a", "id": ""}', "id must be a string or an integer"),
        ('{"text": "a", "id": true}', "id must be a string or an integer"),
        ('{"text": "a"}'.encode("utf-16-le"), 'it is not JSON from character 2 on; write {"text": "…"}'),
        ('{"text": "\\ud800"}', "text contains a lone surrogate"),
        ("[" * 100_000, 'it is not an object; write {"text": "…"}'),
        ('{"a":' * 10_000, 'it is nested more than 100 deep; write {"text": "…"}'),
        ('{"text": "a"', 'it is not JSON from character 13 on; write {"text": "…"}'),
        ('{"text": "a", "text": "b"}', 'it has "text" twice in one object; write {"text": "…"}'),
        ('{"text": "a", "n": NaN}', 'it has NaN, which is no JSON; write {"text": "…"}'),
        ('{"text": 1.5}', "text must be a string"),
        ('{"text": "a", "reply_to": 1.0000000000000001}', "reply_to must be the number of a message"),
        ('{"text": "a", "id": 1699.02}', "id must be a string or an integer"),
        ('{"posted": {"text": "a", "deleted": "false"}}', "deleted must be true or false"),
        (json.dumps({"text": "x" * LINE_BYTES_MAX}), f"longer than {LINE_BYTES_MAX:,} bytes"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_reason_and_the_next_one_is_read(line: str | bytes, reason: str) -> None:
    before, bad, after = read('{"text": "a"}', line, '{"text": "b"}')
    assert isinstance(bad, InvalidLine)
    assert (bad.number, bad.reason) == (2, reason)
    assert isinstance(before, ImportLine)
    assert isinstance(after, ImportLine)
    assert after.number == 3


def test_empty_lines_and_a_byte_order_mark_do_not_matter() -> None:
    marked, empty, blank = read(b'\xef\xbb\xbf{"text": "a"}', "", "  \r")
    assert isinstance(marked, ImportLine)
    assert (type(empty), type(blank)) == (SkippedLine, SkippedLine)


def test_the_ids_1_and_text_1_are_two() -> None:
    number, text, again = read('{"text": "a", "id": 1}', '{"text": "a", "id": "1"}', '{"text": "a", "id": 1}')
    assert isinstance(number, ImportLine)
    assert isinstance(text, ImportLine)
    assert isinstance(again, ImportLine)
    assert number.client_id == again.client_id != text.client_id


@pytest.mark.parametrize(("encoding", "name"), [("utf-16", "UTF-16"), ("utf-32", "UTF-32")])
def test_a_file_in_another_encoding_is_refused_before_anything_is_sent(encoding: str, name: str) -> None:
    with pytest.raises(CliError, match=f"the file is in {name}, not UTF-8"):
        list(read_lines(io.BufferedReader(io.BytesIO('{"text": "a"}\n'.encode(encoding)))))


def test_a_line_without_an_end_is_given_up() -> None:
    with open("/dev/zero", "rb") as endless, pytest.raises(CliError, match="line 1 has more than 67,108,864 bytes"):
        list(read_lines(endless))
