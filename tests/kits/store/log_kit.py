"""What every store's logs must do."""

import asyncio
import random
from collections.abc import Callable

import pytest

from kits.store.assertions import raises_api_error
from kits.store.factories import (
    NOW_MS,
    RecordingListener,
    create_group,
    create_open_room,
    new_deletion,
    new_edit,
    new_membership,
    new_message,
    new_reaction,
    parse,
    read_all,
    texts,
)
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.messaging.message_state import EDITS_MAX, REACTION_KINDS_MAX, REACTION_USERS_MAX
from tidings.domain.ports.store import PAGE_BYTES_MAX, READ_BYTES_MAX, AppendResult, Store


class LogKit:
    """Appending, what it does to earlier messages, and reading."""

    # appending

    @pytest.mark.asyncio
    async def test_a_message_is_read_as_it_was_written(self, store: Store) -> None:
        room = await create_open_room(store)
        written = await store.append(new_message(room, "ann", "hello", client_id="a"))
        head = await store.head(room)
        assert (written.seq, written.at_ms, written.duplicate, written.epoch) == (1, NOW_MS, False, head.epoch)
        (stored,) = await store.read(room, 0, 10)
        assert stored == written.event
        assert parse(stored) == v1.Event(
            room=room, seq=1, at_ms=NOW_MS, actor="ann", client_id="a", posted=v1.Posted(text="hello")
        )

    @pytest.mark.asyncio
    async def test_logs_have_no_holes_when_many_write_to_many_rooms_at_once(self, store: Store) -> None:
        rooms = [await create_open_room(store, f"room{number}") for number in range(7)]
        heard = RecordingListener()
        store.on_committed(heard)
        drafts = [new_message(random.choice(rooms), f"user{number % 5}", f"text {number}") for number in range(700)]
        wanted = {room: [draft.posted.text for draft in drafts if draft.room == room] for room in rooms}
        answers = await asyncio.gather(*(store.append(draft) for draft in drafts))
        for room in rooms:
            log = await read_all(store, room)
            assert [event.seq for event in log] == list(range(1, len(log) + 1))
            assert texts(log) == wanted[room], "the order of the calls is the order of the log"
            assert heard.seqs(room) == [event.seq for event in log]
        assert sum(not answer.duplicate for answer in answers) == 700

    @pytest.mark.asyncio
    async def test_times_in_a_log_do_not_go_back_when_the_clock_is_corrected(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "one", at_ms=NOW_MS + 5_000))
        written = await store.append(new_message(room, "ann", "two", at_ms=NOW_MS))
        assert written.at_ms == NOW_MS + 5_000
        assert parse(written.event).at_ms == NOW_MS + 5_000

    @pytest.mark.asyncio
    async def test_a_clock_that_was_ahead_does_not_date_a_room_ahead_for_good(self, store: Store) -> None:
        room = await create_open_room(store)
        year_ms = 365 * 86_400_000
        first = await store.append(new_message(room, "ann", "one", client_id="a", at_ms=NOW_MS + year_ms))
        second = await store.append(new_message(room, "ann", "two", at_ms=NOW_MS))
        edit = await store.append(new_edit(room, "ann", 1, "uno", at_ms=NOW_MS + 10))
        assert [written.at_ms for written in (first, second, edit)] == [NOW_MS + year_ms, NOW_MS, NOW_MS + 10]
        events = [parse(event) for event in await read_all(store, room)]
        assert [event.at_ms for event in events] == [NOW_MS + year_ms, NOW_MS, NOW_MS + 10]
        assert events[0].posted.edited_at_ms == NOW_MS + 10
        again = await store.append(new_message(room, "ann", "one", client_id="a", at_ms=NOW_MS + 20))
        assert (again.seq, again.at_ms, again.duplicate) == (1, NOW_MS + year_ms, True)

    @pytest.mark.asyncio
    async def test_what_was_dated_ahead_is_found_in_the_order_of_what_followed(self, store: Store) -> None:
        rooms = [await create_open_room(store, name) for name in ("ahead", "b", "c", "d", "e", "f")]
        for number in range(3):
            await store.append(new_message("ahead", "ann", f"word early {number}", at_ms=NOW_MS + 86_400_000 + number))
        await store.append(new_message("b", "ann", "word 0", at_ms=NOW_MS))
        await store.append(new_message("ahead", "ann", "word 1", at_ms=NOW_MS + 1))
        await store.append(new_message("b", "ann", "word 2", at_ms=NOW_MS + 2))
        found: list[str] = []
        page = ""
        for _ in range(6):
            answer = await store.search("word", rooms=rooms, sender="", page_token=page, limit=1)
            found += texts(answer.events)
            page = answer.next_page_token
        assert found == ["word 2", "word 1", "word early 2", "word early 1", "word early 0", "word 0"]
        assert page == ""

    @pytest.mark.asyncio
    async def test_nothing_can_be_written_to_a_room_that_is_not_there(self, store: Store) -> None:
        with raises_api_error(Code.NOT_FOUND):
            await store.append(new_message("nowhere", "ann", "hello"))
        with raises_api_error(Code.NOT_FOUND):
            await store.head("nowhere")
        with raises_api_error(Code.NOT_FOUND):
            await store.read("nowhere", 0, 1)
        with raises_api_error(Code.NOT_FOUND):
            await store.page("nowhere", before=None, after=None, limit=1)

    @pytest.mark.asyncio
    async def test_the_heads_of_several_rooms_are_those_of_each_and_rooms_that_are_not_there_are_left_out(
        self, store: Store
    ) -> None:
        await create_open_room(store, "square")
        await create_open_room(store, "empty")
        await store.append(new_message("square", "ann", "hello"))
        assert await store.heads(["square", "nowhere", "empty"]) == {
            room: await store.head(room) for room in ("square", "empty")
        }
        assert await store.heads([]) == {}

    @pytest.mark.asyncio
    async def test_an_event_must_say_what_happened(self, store: Store) -> None:
        room = await create_open_room(store)
        with raises_api_error(Code.INVALID_ARGUMENT):
            await store.append(v1.Event(room=room, actor="ann", at_ms=1))
        with raises_api_error(Code.INVALID_ARGUMENT):
            await store.append(v1.Event(room=room, actor="ann", at_ms=1, appended=v1.Appended(target=1, text="x")))

    @pytest.mark.asyncio
    async def test_a_reply_names_a_message_that_is_there(self, store: Store) -> None:
        room = await create_group(store, "team", "ann")
        first = await store.append(new_message(room, "ann", "question"))
        reply = await store.append(new_message(room, "ann", "answer", reply_to=first.seq))
        assert parse(reply.event).posted.reply_to == first.seq
        with raises_api_error(Code.NOT_FOUND):
            await store.append(new_message(room, "ann", "answer", reply_to=99))
        with raises_api_error(Code.INVALID_ARGUMENT):
            await store.append(new_message(room, "ann", "answer", reply_to=1))
        assert (await store.head(room)).seq == reply.seq

    @pytest.mark.asyncio
    async def test_a_reply_finds_the_message_that_was_written_with_it(self, store: Store) -> None:
        room = await create_open_room(store)
        answers = await asyncio.gather(
            store.append(new_message(room, "ann", "question")),
            store.append(new_message(room, "bob", "answer", reply_to=1)),
        )
        assert [answer.seq for answer in answers] == [1, 2]

    # repetitions

    @pytest.mark.asyncio
    async def test_the_same_again_gets_the_first_answer_and_writes_nothing(self, store: Store) -> None:
        room = await create_open_room(store)
        first = await store.append(new_message(room, "ann", "hello", client_id="a"))
        await store.append(new_message(room, "ann", "more"))
        again = await store.append(new_message(room, "ann", "hello", client_id="a", at_ms=NOW_MS + 9))
        assert again == AppendResult(first.epoch, 1, NOW_MS, True, None)
        assert (await store.head(room)).seq == 2

    @pytest.mark.asyncio
    async def test_the_same_key_for_something_else_is_a_conflict(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello", client_id="a"))
        others = [
            new_message(room, "ann", "bye", client_id="a"),
            new_message(room, "ann", "hello", client_id="a", reply_to=1),
            new_edit(room, "ann", 1, "hello", client_id="a"),
            new_reaction(room, "ann", 1, "👍", client_id="a"),
        ]
        for other in others:
            with raises_api_error(Code.CONFLICT):
                await store.append(other)
        assert (await store.head(room)).seq == 1

    @pytest.mark.asyncio
    async def test_a_key_belongs_to_one_sender_in_one_room(self, store: Store) -> None:
        room, other = await create_open_room(store, "one"), await create_open_room(store, "two")
        written = [
            await store.append(new_message(room, "ann", "x", client_id="a")),
            await store.append(new_message(room, "bob", "y", client_id="a")),
            await store.append(new_message(other, "ann", "z", client_id="a")),
        ]
        assert [(answer.seq, answer.duplicate) for answer in written] == [(1, False), (2, False), (1, False)]

    @pytest.mark.asyncio
    async def test_repetitions_written_at_the_same_moment_become_one(self, store: Store) -> None:
        room = await create_open_room(store)
        answers = await asyncio.gather(
            *(store.append(new_message(room, "ann", "same", client_id="a")) for _ in range(5)),
            *(store.append(new_message(room, "bob", f"text {number}")) for number in range(5)),
            *(store.append(new_message(room, "ann", "same", client_id="a")) for _ in range(5)),
        )
        repeated = [*answers[:5], *answers[10:]]
        assert [answer.duplicate for answer in repeated] == [False] + [True] * 9
        assert {(answer.seq, answer.at_ms) for answer in repeated} == {(1, NOW_MS)}
        assert [answer.seq for answer in answers[5:10]] == [2, 3, 4, 5, 6]
        assert texts(await read_all(store, room)) == ["same", *(f"text {number}" for number in range(5))]

    @pytest.mark.asyncio
    async def test_a_refusal_harms_nobody_who_wrote_at_the_same_moment(self, store: Store) -> None:
        room = await create_open_room(store)
        answers = await asyncio.gather(
            store.append(new_message(room, "ann", "one", client_id="a")),
            store.append(new_message("nowhere", "ann", "lost")),
            store.append(new_message(room, "ann", "two", client_id="a")),
            store.append(new_edit(room, "ann", 50, "nothing there")),
            store.append(new_message(room, "ann", "three")),
            return_exceptions=True,
        )
        codes = [getattr(answer, "code", None) for answer in answers]
        assert codes == [None, Code.NOT_FOUND, Code.CONFLICT, Code.NOT_FOUND, None]
        assert texts(await read_all(store, room)) == ["one", "three"]

    @pytest.mark.asyncio
    async def test_a_repetition_is_one_whatever_became_of_the_message(self, store: Store) -> None:
        room = await create_open_room(store)
        first = await store.append(new_message(room, "ann", "hello", client_id="a"))
        changes = [
            new_edit(room, "ann", 1, "hullo", client_id="b"),
            new_reaction(room, "bob", 1, "👍", client_id="c"),
            new_edit(room, "ann", 1, "hallo", client_id="d"),
            new_deletion(room, "ann", 1, client_id="e"),
        ]
        for change in changes:
            await store.append(change)
            again = await store.append(new_message(room, "ann", "hello", client_id="a"))
            assert (again.seq, again.at_ms, again.duplicate) == (first.seq, first.at_ms, True)
        # Of the changes themselves, too, though none of them could be made now.
        for seq, change in enumerate(changes, 2):
            again = await store.append(change)
            assert (again.seq, again.duplicate) == (seq, True)

    @pytest.mark.asyncio
    async def test_nothing_is_kept_that_could_tell_what_a_deleted_message_said(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "yes", client_id="a"))
        await store.append(new_edit(room, "ann", 1, "no", client_id="b"))
        await store.append(new_deletion(room, "ann", 1))
        for guess in (new_message(room, "ann", "yes", client_id="a"), new_message(room, "ann", "maybe", client_id="a")):
            assert (await store.append(guess)).seq == 1
        for guess in (
            new_edit(room, "ann", 1, "no", client_id="b"),
            new_edit(room, "ann", 1, "perhaps", client_id="b"),
        ):
            assert (await store.append(guess)).seq == 2

    @pytest.mark.asyncio
    async def test_an_edited_message_repeated_with_its_new_text_is_a_conflict(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello", client_id="a"))
        await store.append(new_edit(room, "ann", 1, "hullo"))
        with raises_api_error(Code.CONFLICT):
            await store.append(new_message(room, "ann", "hullo", client_id="a"))

    # what becomes of messages

    @pytest.mark.asyncio
    async def test_an_edited_message_is_read_with_its_new_text(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "helo", client_id="a"))
        written = await store.append(new_edit(room, "ann", 1, "hello"))
        log = await read_all(store, room)
        assert parse(log[0]).posted == v1.Posted(text="hello", edited_at_ms=NOW_MS)
        assert parse(log[0]).client_id == "a"
        assert parse(log[1]).edited == v1.Edited(target=1, text="hello")
        assert list(written.rewritten) == log[:1]

    @pytest.mark.asyncio
    async def test_only_its_author_edits_a_message(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "mine"))
        with raises_api_error(Code.PERMISSION_DENIED):
            await store.append(new_edit(room, "bob", 1, "yours"), moderates=True)

    @pytest.mark.asyncio
    async def test_a_deleted_message_is_gone_from_the_log_with_all_its_texts(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "first secret"))
        await store.append(new_message(room, "bob", "question", reply_to=1))
        await store.append(new_edit(room, "ann", 1, "second secret"))
        await store.append(new_reaction(room, "bob", 1, "👍"))
        await store.append(new_edit(room, "ann", 1, "third secret"))
        await store.append(new_edit(room, "bob", 2, "kept"))
        written = await store.append(new_deletion(room, "ann", 1))
        log = await read_all(store, room)
        assert parse(log[0]).posted == v1.Posted(deleted=True)
        assert parse(log[2]).edited == v1.Edited(target=1)
        assert parse(log[4]).edited == v1.Edited(target=1)
        assert parse(log[5]).edited == v1.Edited(target=2, text="kept")
        assert parse(log[6]).deleted == v1.Deleted(target=1)
        assert not any(b"secret" in event.data for event in log)
        # The edit that came first had lost its text to the one after it.
        assert sorted(written.rewritten) == [log[0], log[4]]

    @pytest.mark.asyncio
    async def test_an_edit_takes_the_text_of_the_edit_before_so_a_deletion_rewrites_two_events(
        self, store: Store
    ) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "first"))
        for number in range(2, 7):
            written = await store.append(new_edit(room, "ann", 1, f"text {number}"))
            assert len(written.rewritten) == (1 if number == 2 else 2)
        log = await read_all(store, room)
        assert [parse(event).edited.text for event in log[1:]] == ["", "", "", "", "text 6"]
        assert all(parse(event).edited.target == 1 for event in log[1:])
        assert parse(log[0]).posted.text == "text 6"
        written = await store.append(new_deletion(room, "ann", 1))
        assert sorted(event.seq for event in written.rewritten) == [1, 6]
        assert not any(b"text" in event.data for event in await read_all(store, room))

    @pytest.mark.asyncio
    async def test_an_edit_is_repeated_by_its_key_after_the_message_was_edited_again(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "one"))
        first = await store.append(new_edit(room, "ann", 1, "two", client_id="a"))
        await store.append(new_edit(room, "ann", 1, "three", client_id="b"))
        again = await store.append(new_edit(room, "ann", 1, "two", client_id="a"))
        assert (again.seq, again.duplicate) == (first.seq, True)
        assert parse((await read_all(store, room))[0]).posted.text == "three"

    @pytest.mark.asyncio
    async def test_a_deleted_reply_still_says_what_it_answered(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "question"))
        await store.append(new_message(room, "ann", "answer", reply_to=1))
        await store.append(new_deletion(room, "ann", 2))
        assert parse((await read_all(store, room))[1]).posted == v1.Posted(reply_to=1, deleted=True)

    @pytest.mark.asyncio
    async def test_a_message_is_deleted_by_its_author_or_by_who_moderates(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello"))
        with raises_api_error(Code.PERMISSION_DENIED):
            await store.append(new_deletion(room, "bob", 1))
        assert not (await store.append(new_deletion(room, "bob", 1), moderates=True)).duplicate

    @pytest.mark.asyncio
    async def test_nothing_more_happens_to_a_deleted_message(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello"))
        await store.append(new_deletion(room, "ann", 1))
        for change in (new_edit(room, "ann", 1, "x"), new_deletion(room, "ann", 1), new_reaction(room, "ann", 1, "👍")):
            with raises_api_error(Code.INVALID_ARGUMENT):
                await store.append(change)
        assert (await store.head(room)).seq == 2

    @pytest.mark.asyncio
    async def test_only_messages_can_be_changed(self, store: Store) -> None:
        room = await create_group(store, "team", "ann")
        for target, code in ((1, Code.INVALID_ARGUMENT), (0, Code.NOT_FOUND), (3, Code.NOT_FOUND)):
            for change in (
                new_edit(room, "ann", target, "x"),
                new_deletion(room, "ann", target),
                new_reaction(room, "ann", target, "x"),
            ):
                with raises_api_error(code):
                    await store.append(change)

    @pytest.mark.asyncio
    async def test_a_change_finds_the_message_that_was_written_with_it(self, store: Store) -> None:
        room = await create_open_room(store)
        heard = RecordingListener()
        store.on_committed(heard)
        await asyncio.gather(
            store.append(new_message(room, "ann", "one")),
            store.append(new_edit(room, "ann", 1, "uno")),
            store.append(new_message(room, "ann", "two")),
            store.append(new_deletion(room, "ann", 3)),
        )
        log = await read_all(store, room)
        assert [parse(event).posted.text for event in (log[0], log[2])] == ["uno", ""]
        # A listener that applies all commits has the same log in the end.
        followed = {}
        for _, _, events, amended in heard.calls:
            followed.update({event.seq: event for event in events})
            followed.update({event.seq: event for event in amended})
        assert [followed[seq] for seq in sorted(followed)] == log

    @pytest.mark.asyncio
    @pytest.mark.parametrize("forgotten", [False, True], ids=["as they were", "after the messages were deleted"])
    async def test_a_key_repeats_what_it_was_used_for_and_nothing_else(self, store: Store, forgotten: bool) -> None:
        room = await create_open_room(store)
        for text in ("one", "two", "three"):
            await store.append(new_message(room, "ann", text))
        asked: dict[str, Callable[[str], v1.Event]] = {
            "send": lambda key: new_message(room, "ann", "four", client_id=key),
            "send another text": lambda key: new_message(room, "ann", "five", client_id=key),
            "send as a reply": lambda key: new_message(room, "ann", "four", reply_to=3, client_id=key),
            "edit": lambda key: new_edit(room, "ann", 1, "uno", client_id=key),
            "edit to another text": lambda key: new_edit(room, "ann", 1, "eins", client_id=key),
            "edit another": lambda key: new_edit(room, "ann", 2, "uno", client_id=key),
            "delete": lambda key: new_deletion(room, "ann", 1, client_id=key),
            "delete another": lambda key: new_deletion(room, "ann", 2, client_id=key),
            "react": lambda key: new_reaction(room, "ann", 1, "👍", client_id=key),
            "react otherwise": lambda key: new_reaction(room, "ann", 1, "🎉", client_id=key),
            "react to another": lambda key: new_reaction(room, "ann", 2, "👍", client_id=key),
            "take a reaction back": lambda key: new_reaction(room, "ann", 1, "👍", removed=True, client_id=key),
        }
        first = {name: await store.append(asked[name](name)) for name in ("send", "edit", "react", "delete")}
        if forgotten:
            await store.append(new_deletion(room, "ann", first["send"].seq))
        # A text that was deleted cannot be compared any more: what is left of the request has to be the same.
        alike = {("send", "send another text"), ("edit", "edit to another text")}
        # The edits of message 1 lost their text in any case, since it is deleted by now.
        alike -= set() if forgotten else {("send", "send another text")}
        head = await store.head(room)
        for key, before in first.items():
            for name, draft in asked.items():
                if name == key or (key, name) in alike:
                    again = await store.append(draft(key))
                    assert (again.seq, again.duplicate) == (before.seq, True), (key, name)
                else:
                    with raises_api_error(Code.CONFLICT):
                        await store.append(draft(key))
        assert await store.head(room) == head

    @pytest.mark.asyncio
    async def test_a_message_is_edited_so_many_times_and_no_more(self, store: Store) -> None:
        room = await create_open_room(store)
        for text in ("one", "two"):
            await store.append(new_message(room, "ann", text))
        edits = await asyncio.gather(*(store.append(new_edit(room, "ann", 1, f"text {n}")) for n in range(EDITS_MAX)))
        assert edits[-1].seq == EDITS_MAX + 2
        with raises_api_error(Code.RESOURCE_EXHAUSTED):
            await store.append(new_edit(room, "ann", 1, "once more"))
        await store.append(new_edit(room, "ann", 2, "another one"))
        await store.append(new_deletion(room, "ann", 1))

    # reactions

    @pytest.mark.asyncio
    async def test_reactions_are_summed_up_in_the_message(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello"))
        for user, emoji in (("bob", "👍"), ("cem", "🎉"), ("ann", "👍"), ("bob", "🎉")):
            await store.append(new_reaction(room, user, 1, emoji))
        await store.append(new_reaction(room, "cem", 1, "🎉", removed=True))
        message = parse((await store.read(room, 0, 1))[0]).posted
        assert list(message.reactions) == [
            v1.Reaction(emoji="👍", users=["bob", "ann"], count=2),
            v1.Reaction(emoji="🎉", users=["bob"], count=1),
        ]

    @pytest.mark.asyncio
    async def test_a_reaction_that_nobody_stands_behind_any_more_is_gone(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello"))
        await store.append(new_reaction(room, "bob", 1, "👍"))
        await store.append(new_reaction(room, "bob", 1, "👍", removed=True))
        assert parse((await store.read(room, 0, 1))[0]).posted == v1.Posted(text="hello")

    @pytest.mark.asyncio
    async def test_reacting_twice_counts_once_and_changes_nothing(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello"))
        await store.append(new_reaction(room, "bob", 1, "👍"))
        head = await store.head(room)
        again = await store.append(new_reaction(room, "bob", 1, "👍"))
        never = await store.append(new_reaction(room, "cem", 1, "👍", removed=True))
        for answer in (again, never):
            assert (answer.seq, answer.duplicate, answer.event) == (head.seq, True, None)
            assert not list(answer.rewritten)
        assert await store.head(room) == head
        assert parse((await store.read(room, 0, 1))[0]).posted.reactions[0].count == 1

    @pytest.mark.asyncio
    async def test_an_edit_to_the_same_text_changes_nothing(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello"))
        head = await store.head(room)
        answer = await store.append(new_edit(room, "ann", 1, "hello"))
        assert (answer.seq, answer.duplicate, answer.event) == (head.seq, True, None)
        assert await store.head(room) == head
        assert not parse((await store.read(room, 0, 1))[0]).posted.edited_at_ms
        await store.append(new_edit(room, "ann", 1, "hello!"))
        assert (await store.head(room)).seq == head.seq + 1

    @pytest.mark.asyncio
    async def test_a_reaction_that_was_kept_in_another_form_is_taken_back_and_added_to(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello"))
        await store.append(new_reaction(room, "bob", 1, "❤"))
        await store.append(new_reaction(room, "ann", 1, "❤\ufe0f", client_id="a"))
        assert (await store.append(new_reaction(room, "ann", 1, "❤\ufe0f", client_id="a"))).duplicate
        (reaction,) = parse((await store.read(room, 0, 1))[0]).posted.reactions
        assert (reaction.emoji, list(reaction.users), reaction.count) == ("❤", ["bob", "ann"], 2)
        await store.append(new_reaction(room, "bob", 1, "❤\ufe0f", removed=True))
        (reaction,) = parse((await store.read(room, 0, 1))[0]).posted.reactions
        assert list(reaction.users) == ["ann"]

    @pytest.mark.asyncio
    async def test_each_user_takes_a_reaction_back_in_the_form_it_was_given_in(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello"))
        await store.append(new_reaction(room, "ann", 1, "❤\ufe0f"))
        await store.append(new_reaction(room, "bob", 1, "❤"))  # as older releases kept it, beside the other one
        await store.append(new_reaction(room, "bob", 1, "❤\ufe0f", removed=True))
        (reaction,) = parse((await store.read(room, 0, 1))[0]).posted.reactions
        assert (reaction.emoji, list(reaction.users)) == ("❤\ufe0f", ["ann"])

    @pytest.mark.asyncio
    async def test_a_popular_message_names_the_first_who_reacted_and_counts_all(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello"))
        users = [f"user{number:03}" for number in range(REACTION_USERS_MAX + 10)]
        await asyncio.gather(*(store.append(new_reaction(room, user, 1, "👍")) for user in users))
        (reaction,) = parse((await store.read(room, 0, 1))[0]).posted.reactions
        assert (list(reaction.users), reaction.count) == (users[:REACTION_USERS_MAX], len(users))
        # When one of them takes it back, the next one is named.
        await store.append(new_reaction(room, users[3], 1, "👍", removed=True))
        (reaction,) = parse((await store.read(room, 0, 1))[0]).posted.reactions
        left = users[:3] + users[4:]
        assert (list(reaction.users), reaction.count) == (left[:REACTION_USERS_MAX], len(left))
        # Who comes again comes last.
        await store.append(new_reaction(room, users[3], 1, "👍"))
        (reaction,) = parse((await store.read(room, 0, 1))[0]).posted.reactions
        assert (list(reaction.users), reaction.count) == (left[:REACTION_USERS_MAX], len(users))

    @pytest.mark.asyncio
    async def test_a_message_has_so_many_kinds_of_reactions_and_no_more(self, store: Store) -> None:
        room = await create_open_room(store)
        await store.append(new_message(room, "ann", "hello"))
        for number in range(REACTION_KINDS_MAX):
            await store.append(new_reaction(room, "bob", 1, f"e{number}"))
        with raises_api_error(Code.RESOURCE_EXHAUSTED):
            await store.append(new_reaction(room, "bob", 1, "one more"))
        await store.append(new_reaction(room, "ann", 1, "e0"))

    # telling

    @pytest.mark.asyncio
    async def test_the_listener_hears_of_an_event_before_its_writer_does(self, store: Store) -> None:
        room = await create_open_room(store)
        order: list[str] = []
        store.on_committed(lambda name, epoch, events, *_: order.append(f"heard {events[-1].seq}"))

        async def write(text: str) -> None:
            written = await store.append(new_message(room, "ann", text))
            order.append(f"answered {written.seq}")

        await asyncio.gather(*(write(f"text {number}") for number in range(10)))
        assert [line for line in order if line.startswith("answered")] == [f"answered {seq}" for seq in range(1, 11)]
        heard = 0
        for line in order:
            verb, seq = line.split()
            if verb == "heard":
                heard = int(seq)
            else:
                assert int(seq) <= heard

    @pytest.mark.asyncio
    async def test_the_listener_hears_of_the_events_that_make_a_room(self, store: Store) -> None:
        heard = RecordingListener()
        store.on_committed(heard)
        record, events = await store.create_room(
            "team", kind=v1.GROUP, title="Team", creator="ann", members=["bob"], at_ms=NOW_MS
        )
        assert heard.calls == [("team", record.head.epoch, list(events), [])]
        members = [(event.seq, parse(event).member) for event in events[1:]]
        assert heard.members == [(seq, member, member.user == "ann") for seq, member in members]
        left = await store.append(new_membership("team", "bob", "bob", left=True))
        assert heard.members[2:] == [(left.seq, v1.Member(user="bob", left=True, role=v1.MEMBER), False)]

    @pytest.mark.asyncio
    async def test_the_listener_hears_nothing_of_what_was_not_written(self, store: Store) -> None:
        room = await create_group(store, "team", "ann")
        await store.append(new_message(room, "ann", "hello", client_id="a"))
        heard = RecordingListener()
        store.on_committed(heard)
        await store.append(new_message(room, "ann", "hello", client_id="a"))
        await store.advance_positions(room, "ann", delivered=1, read=1)
        await store.append(new_membership(room, "ann", "ann", v1.OWNER))
        assert heard.calls == []

    @pytest.mark.asyncio
    async def test_a_listener_that_fails_keeps_nobody_from_an_answer(self, store: Store) -> None:
        room = await create_open_room(store)
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context["exception"]))

        def listener(*told: object) -> None:
            raise RuntimeError("not my day")

        store.on_committed(listener)
        assert (await store.append(new_message(room, "ann", "hello"))).seq == 1
        assert [str(complaint) for complaint in complaints] == ["not my day"]

    # reading

    @pytest.mark.asyncio
    async def test_reading_goes_on_after_a_seq_up_to_a_number_of_events(self, store: Store) -> None:
        room = await create_open_room(store)
        for number in range(1, 11):
            await store.append(new_message(room, "ann", str(number)))
        assert texts(await store.read(room, 0, 3)) == ["1", "2", "3"]
        assert texts(await store.read(room, 8, 3)) == ["9", "10"]
        assert list(await store.read(room, 10, 3)) == []
        assert list(await store.read(room, 2**63, 3)) == []

    @pytest.mark.asyncio
    async def test_pages_at_both_ends_say_whether_there_is_more(self, store: Store) -> None:
        room = await create_open_room(store)
        for number in range(1, 11):
            await store.append(new_message(room, "ann", str(number)))

        async def page(*, before: int | None = None, after: int | None = None, limit: int = 4) -> tuple[str, bool]:
            found = await store.page(room, before=before, after=after, limit=limit)
            assert found.head == await store.head(room)
            return " ".join(texts(found.events)), found.more

        assert await page() == ("7 8 9 10", True)
        assert await page(before=7) == ("3 4 5 6", True)
        assert await page(before=5) == ("1 2 3 4", False)
        assert await page(before=3) == ("1 2", False)
        assert await page(before=1) == ("", False)
        assert await page(before=0) == ("", False)
        assert await page(before=99) == ("7 8 9 10", True)
        assert await page(after=0) == ("1 2 3 4", True)
        assert await page(after=4) == ("5 6 7 8", True)
        assert await page(after=6) == ("7 8 9 10", False)
        assert await page(after=8) == ("9 10", False)
        assert await page(after=10) == ("", False)
        assert await page(after=99) == ("", False)
        assert await page(limit=10) == ("1 2 3 4 5 6 7 8 9 10", False)
        assert await page(before=2**63, limit=1) == ("10", True)

    @pytest.mark.asyncio
    async def test_a_page_and_a_list_name_the_head_and_the_newest_message_whatever_came_last(
        self, store: Store
    ) -> None:
        room = await create_group(store, "team", "ann")
        message = await store.append(new_message(room, "ann", "word"))

        async def head_and_last() -> tuple[int, int]:
            page = await store.page(room, before=None, after=None, limit=1)
            (entry,) = await store.room_list_page("ann", after="", limit=9)
            assert entry.room.head == page.head == await store.head(room)
            return page.head.seq, parse(entry.last).seq

        assert await head_and_last() == (message.seq, message.seq)
        await store.append(new_reaction(room, "ann", message.seq, "👍"))
        assert await head_and_last() == (message.seq + 1, message.seq)

    @pytest.mark.asyncio
    async def test_an_empty_log_has_an_empty_page(self, store: Store) -> None:
        room = await create_open_room(store)
        found = await store.page(room, before=None, after=None, limit=5)
        assert (list(found.events), found.more, found.head.seq) == ([], False, 0)

    @pytest.mark.asyncio
    async def test_what_is_read_at_once_is_bounded_in_bytes(self, store: Store) -> None:
        room = await create_open_room(store)
        long = "x" * 65_536
        total = PAGE_BYTES_MAX // len(long) + 10
        await asyncio.gather(*(store.append(new_message(room, f"ann{n % 2}", long)) for n in range(total)))

        read = await store.read(room, 0, 1000)
        assert sum(len(event.data) for event in read) <= READ_BYTES_MAX
        assert [event.seq for event in read] == list(range(1, len(read) + 1))

        newest = await store.page(room, before=None, after=None, limit=1000)
        assert sum(len(event.data) for event in newest.events) <= PAGE_BYTES_MAX
        assert newest.more
        assert newest.events[-1].seq == total

        oldest = await store.page(room, before=None, after=1, limit=1000)
        assert sum(len(event.data) for event in oldest.events) <= PAGE_BYTES_MAX
        assert oldest.more
        assert oldest.events[0].seq == 2
