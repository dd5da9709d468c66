"""What later events make of a message."""

from tidings.contract import v1
from tidings.domain.messaging.message_state import REACTION_USERS_MAX, ReactionUsers, apply_change, redact_edit

MESSAGE = v1.Event(room="r", seq=3, at_ms=10, actor="ann", client_id="a", posted=v1.Posted(text="helo", reply_to=2))


def test_an_edit_gives_a_message_its_text_and_the_time_of_the_change() -> None:
    updated = apply_change(MESSAGE, v1.Event(at_ms=20, edited=v1.Edited(target=3, text="hello")))
    assert updated.posted == v1.Posted(text="hello", reply_to=2, edited_at_ms=20)
    assert (updated.seq, updated.at_ms, updated.actor, updated.client_id) == (3, 10, "ann", "a")


def test_applying_a_change_mutates_neither_the_message_nor_the_change() -> None:
    before = v1.Event.FromString(MESSAGE.SerializeToString())
    change = v1.Event(at_ms=20, edited=v1.Edited(target=3, text="hello"))
    apply_change(MESSAGE, change)
    assert before == MESSAGE
    assert change == v1.Event(at_ms=20, edited=v1.Edited(target=3, text="hello"))


def test_a_deletion_leaves_nothing_but_the_mark_and_what_was_answered() -> None:
    liked = apply_change(MESSAGE, v1.Event(reacted=v1.Reacted(target=3, emoji="👍")), ReactionUsers(["bob"], 1))
    edited = apply_change(liked, v1.Event(at_ms=20, edited=v1.Edited(target=3, text="hello")))
    assert apply_change(edited, v1.Event(deleted=v1.Deleted(target=3))).posted == v1.Posted(reply_to=2, deleted=True)


def test_a_deleted_message_stays_deleted() -> None:
    gone = apply_change(MESSAGE, v1.Event(deleted=v1.Deleted(target=3)))
    assert apply_change(gone, v1.Event(at_ms=20, edited=v1.Edited(target=3, text="back"))) == gone
    assert apply_change(gone, v1.Event(reacted=v1.Reacted(target=3, emoji="👍")), ReactionUsers(["bob"], 1)) == gone


def test_reactions_stay_in_the_order_in_which_they_first_came() -> None:
    one = apply_change(MESSAGE, v1.Event(reacted=v1.Reacted(target=3, emoji="👍")), ReactionUsers(["bob"], 1))
    two = apply_change(one, v1.Event(reacted=v1.Reacted(target=3, emoji="🎉")), ReactionUsers(["cem"], 1))
    three = apply_change(two, v1.Event(reacted=v1.Reacted(target=3, emoji="👍")), ReactionUsers(["bob", "cem"], 2))
    assert list(three.posted.reactions) == [
        v1.Reaction(emoji="👍", users=["bob", "cem"], count=2),
        v1.Reaction(emoji="🎉", users=["cem"], count=1),
    ]
    left = apply_change(three, v1.Event(reacted=v1.Reacted(target=3, emoji="👍", removed=True)), ReactionUsers([], 0))
    assert [reaction.emoji for reaction in left.posted.reactions] == ["🎉"]


def test_a_reaction_names_so_many_people_and_counts_all() -> None:
    users = [f"user{number}" for number in range(REACTION_USERS_MAX + 5)]
    updated = apply_change(MESSAGE, v1.Event(reacted=v1.Reacted(target=3, emoji="👍")), ReactionUsers(users, 70))
    (reaction,) = updated.posted.reactions
    assert (list(reaction.users), reaction.count) == (users[:REACTION_USERS_MAX], 70)


def test_an_edit_of_a_deleted_message_keeps_its_place_and_loses_its_text() -> None:
    edit = v1.Event(room="r", seq=4, at_ms=20, actor="ann", edited=v1.Edited(target=3, text="secret"))
    assert redact_edit(edit) == v1.Event(room="r", seq=4, at_ms=20, actor="ann", edited=v1.Edited(target=3))
