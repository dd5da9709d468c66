"""What every store must find."""

import asyncio

import pytest

from kits.store.assertions import raises_api_error
from kits.store.factories import NOW_MS, create_open_room, new_deletion, new_edit, new_message, texts
from tidings.contract.errors import Code
from tidings.domain.ports.store import Store

MESSAGES = [
    "Hello world, this is a test of the emergency system",
    "Crème brûlée in the naïve café",
    "天気予報によると明日は雨です",
    "我喜欢学习中文和数据库",
    "안녕하세요 세계 여러분",
    "ﾃﾞｰﾀﾍﾞｰｽ を調べる",
    "สวัสดีครับ ผมชื่อสมชาย",
    "مَرْحَبًا بِالعَالَمِ",
    "हिन्दी में नमस्ते दुनिया",
    "Привет мир, ёлка и йод",
    "party 🎉🎉 time 👍🏽 family 👨‍👩‍👧",
    "iPhone手机壳 for sale",
    "don't stop: foo_bar-baz/qux@example.org",
    "STRASSE und Straße",
    "𰀀𰀁𠮷野家",
    "the end\tof\nthe line",
]

# What is asked, and the beginning of every message that it finds.
CASES = [
    ("hello", ["Hello"]),
    ("HELLO World", ["Hello"]),
    ("wor", ["Hello"]),
    ("wor hello", []),
    ("^hello", ["Hello"]),
    ("(hello)", ["Hello"]),
    ("hello*", ["Hello"]),
    ("+hello", ["Hello"]),
    ("hello wor", ["Hello"]),
    ("h", ["Hello"]),
    ("emergency test", ["Hello"]),
    ('"emergency system"', ["Hello"]),
    ('"system emergency"', []),
    ('"emergency sys', ["Hello"]),
    ('"emergency sys"', []),
    ('"hello world" test', ["Hello"]),
    ("the", ["the end", "Crème", "Hello"]),
    ("creme BRULEE", ["Crème"]),
    ("crème", ["Crème"]),
    ("cafe", ["Crème"]),
    ("天", ["天気"]),
    ("天気", ["天気"]),
    ("気予", ["天気"]),
    ("予報による", ["天気"]),
    ("です", ["天気"]),
    ("す", ["天気"]),
    ("天報", []),
    ("天気 雨", ["天気"]),
    ("习", ["我喜欢"]),
    ("数据库", ["我喜欢"]),
    ("据数", []),
    ("喜欢 数据", ["我喜欢"]),
    ("녕하", ["안녕"]),
    ("세계", ["안녕"]),
    ("여", ["안녕"]),
    ('"하세요 세계"', ["안녕"]),
    ("データベース", ["ﾃﾞｰﾀ"]),
    ("ベース", ["ﾃﾞｰﾀ"]),
    ("調べる", ["ﾃﾞｰﾀ"]),
    ("ครับ", ["สวัสดี"]),
    ("สมชาย", ["สวัสดี"]),
    ("مرحبا", ["مَرْحَبًا"]),
    ("بالعالم", ["مَرْحَبًا"]),
    ("नमस्ते", ["हिन्दी"]),
    ("हिन्दी", ["हिन्दी"]),
    ("елка", ["Привет"]),
    ("йод", ["Привет"]),
    ("иод", []),
    ("🎉", ["party"]),
    ("👍", ["party"]),
    ("👍🏿", ["party"]),
    ("👨‍👩‍👧", ["party"]),
    ("👧👩", []),
    ("手机", ["iPhone"]),
    ("iphone手机", ["iPhone"]),
    ("e手", []),
    ("机壳 iphone", ["iPhone"]),
    ("don't", ["don't"]),
    ("foo_bar", ["don't"]),
    ("bar-baz", ["don't"]),
    ("baz-bar", []),
    ("example.org", ["don't"]),
    ("strasse", ["STRASSE"]),
    ("straße", ["STRASSE"]),
    ("吉野家", []),
    ("𠮷野", ["𰀀"]),
    ("𰀁", ["𰀀"]),
    ("of the", ["the end", "Hello"]),
    ('"of the line"', ["the end"]),
]

# Nothing of this is understood as anything but words, if there are any in it.
HOSTILE_QUERIES = [
    '"',
    '""',
    '"""',
    '" OR *',
    "*",
    "* *",
    "hello*nothing",
    "NEAR(",
    "NEAR(hello world, 5)",
    "hello NOT world",
    "hello OR zzz",
    "text: hello",
    "sender : ann",
    "{text sender} : hello",
    "hello + zzz",
    "-hello zzz",
    "'; DROP TABLE events; --",
    "\x00",
    "hel\x00lo",
    "\\",
    "%",
    "_",
    "ä" * 200,
    "a b c d e f g h i j k l",
    "天" * 24,
    "\u200d\u200d",
    "\U000e0001",
    "\ufdd0\uffff",
]


class SearchKit:
    """Words in rooms."""

    @pytest.mark.asyncio
    async def test_words_are_found_in_all_kinds_of_writing(self, store: Store) -> None:
        room = await create_open_room(store)
        for text in MESSAGES:
            await store.append(new_message(room, "ann", text))
        for asked, wanted in CASES:
            found = await store.search(asked, rooms=[room], sender="", page_token="", limit=50)
            begins = [next((start for start in wanted if text.startswith(start)), text) for text in texts(found.events)]
            assert begins == wanted, asked
            assert found.next_page_token == ""

    @pytest.mark.asyncio
    async def test_words_are_found_the_same_in_one_room_and_in_many(self, store: Store) -> None:
        rooms = [await create_open_room(store, f"room{number}") for number in range(12)]
        await asyncio.gather(
            *(store.append(new_message(room, "ann", text)) for room in rooms[::2] for text in MESSAGES)
        )
        for asked, wanted in CASES:
            found = await store.search(asked, rooms=rooms, sender="", page_token="", limit=100)
            assert len(found.events) == 6 * len(wanted), asked

    @pytest.mark.asyncio
    async def test_a_query_is_words_and_nothing_else(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello world"))
        for asked in HOSTILE_QUERIES:
            found = await store.search(asked, rooms=[room], sender="", page_token="", limit=5)
            assert list(found.events) == [], asked

    @pytest.mark.asyncio
    async def test_a_query_of_too_many_words_is_refused(self, store: Store) -> None:
        room = await create_open_room(store)
        for asked in ("a b c d e f g h i j k l m", "天" * 80):
            with raises_api_error(Code.INVALID_ARGUMENT):
                await store.search(asked, rooms=[room], sender="", page_token="", limit=5)

    @pytest.mark.asyncio
    async def test_words_that_look_like_commands_are_found(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "this OR that AND NOT near NEAR(1)"))
        for asked in ("OR", "AND", "NOT", "NEAR", "or that", '"and not"', "NEAR(1", '"'.join(["", "near near 1", ""])):
            found = await store.search(asked, rooms=[room], sender="", page_token="", limit=5)
            assert len(found.events) == 1, asked

    @pytest.mark.asyncio
    async def test_a_query_without_words_finds_nothing(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello"))
        for asked in ("", " ", "...", '" "', "()"):
            found = await store.search(asked, rooms=[room], sender="", page_token="", limit=5)
            assert (list(found.events), found.next_page_token) == ([], "")

    @pytest.mark.asyncio
    async def test_messages_are_found_by_the_text_they_have_now(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "apple"))
        await store.append(new_message(room, "ann", "apple pie"))

        async def found(words: str) -> list[str]:
            return texts((await store.search(words, rooms=[room], sender="", page_token="", limit=9)).events)

        assert await found("apple") == ["apple pie", "apple"]
        await store.append(new_edit(room, "ann", 1, "banana"))
        assert await found("apple") == ["apple pie"]
        assert await found("banana") == ["banana"]
        await store.append(new_deletion(room, "ann", 1))
        await store.append(new_deletion(room, "ann", 2))
        assert await found("apple") == await found("banana") == []

    @pytest.mark.asyncio
    async def test_a_message_changed_in_the_moment_it_was_written_is_found_as_it_is(self, store: Store) -> None:
        room = await create_open_room(store)
        await asyncio.gather(
            store.append(new_message(room, "ann", "apple")),
            store.append(new_edit(room, "ann", 1, "banana")),
            store.append(new_message(room, "ann", "cherry")),
            store.append(new_deletion(room, "ann", 3)),
        )
        for asked, count in (("apple", 0), ("banana", 1), ("cherry", 0)):
            found = await store.search(asked, rooms=[room], sender="", page_token="", limit=9)
            assert len(found.events) == count, asked

    @pytest.mark.asyncio
    async def test_only_the_rooms_asked_for_are_searched(self, store: Store) -> None:
        rooms = [await create_open_room(store, f"room{number}") for number in range(9)]
        for room in rooms:
            await store.append(new_message(room, "ann", f"word in {room}"))
        found = await store.search("word", rooms=["room3", "room5", "nowhere"], sender="", page_token="", limit=9)
        assert sorted(texts(found.events)) == ["word in room3", "word in room5"]
        found = await store.search("word", rooms=[*rooms[:8], rooms[0]], sender="", page_token="", limit=20)
        assert len(found.events) == 8
        assert list((await store.search("word", rooms=[], sender="", page_token="", limit=9)).events) == []

    @pytest.mark.asyncio
    async def test_only_what_the_sender_wrote_is_found(self, store: Store) -> None:
        room = await create_open_room(store)
        for sender in ("ann", "ann@example.org", "Ann", "天気", "bob"):
            await store.append(new_message(room, sender, f"word of {sender}"))
        for sender in ("ann", "ann@example.org", "Ann", "天気"):
            found = await store.search("word", rooms=[room], sender=sender, page_token="", limit=9)
            assert texts(found.events) == [f"word of {sender}"]
        found = await store.search("w", rooms=[room], sender="nobody", page_token="", limit=9)
        assert list(found.events) == []

    @pytest.mark.asyncio
    async def test_pages_go_from_the_newest_to_the_oldest_through_all_rooms(self, store: Store) -> None:
        rooms = [await create_open_room(store, f"room{number}") for number in range(6)]
        for number in range(60):
            room = rooms[(number * 7) % 6]
            await store.append(new_message(room, "ann", f"word {number}", at_ms=NOW_MS + number // 3))
        for limit in (1, 7, 20, 100):
            found: list[str] = []
            page = ""
            while True:
                answer = await store.search("word", rooms=rooms, sender="", page_token=page, limit=limit)
                assert len(answer.events) <= limit
                found += texts(answer.events)
                page = answer.next_page_token
                if not page:
                    break
            times = [int(text.split()[1]) // 3 for text in found]
            assert times == sorted(times, reverse=True)
            assert sorted(found) == sorted(f"word {number}" for number in range(60))

    @pytest.mark.asyncio
    async def test_what_is_written_meanwhile_does_not_disturb_the_next_page(self, store: Store) -> None:
        room = await create_open_room(store)
        for number in range(6):
            await store.append(new_message(room, "ann", f"word {number}"))
        first = await store.search("word", rooms=[room], sender="", page_token="", limit=3)
        await store.append(new_message(room, "ann", "word 6"))
        second = await store.search("word", rooms=[room], sender="", page_token=first.next_page_token, limit=9)
        assert texts(second.events) == ["word 2", "word 1", "word 0"]

    @pytest.mark.asyncio
    async def test_a_page_that_no_answer_gave_is_refused(self, store: Store) -> None:
        room = await create_open_room(store)
        for number in range(3):
            await store.append(new_message(room, "ann", f"word {number}"))
        page = (await store.search("word", rooms=[room], sender="", page_token="", limit=1)).next_page_token
        forged = [
            "x",
            "5",
            "ä",
            page[:-1],
            page + "A",
            "B" + page[1:],
            page[:20] + ("A" if page[20] != "A" else "B") + page[21:],
        ]
        for wrong in forged:
            with raises_api_error(Code.INVALID_ARGUMENT):
                await store.search("word", rooms=[room], sender="", page_token=wrong, limit=1)
        with raises_api_error(Code.INVALID_ARGUMENT):
            await store.search("another", rooms=[room], sender="", page_token=page, limit=1)
        with raises_api_error(Code.INVALID_ARGUMENT):
            await store.search("word", rooms=[room], sender="ann", page_token=page, limit=1)
