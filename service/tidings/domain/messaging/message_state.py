"""The state of a message after later events.

The log keeps every event, but a message is read in its latest state: its newest text, its reactions, or only the mark
that it was deleted. `apply_change` computes that state. It is pure; a store writes its result in place of the message,
in the transaction that appends the change.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tidings.contract import v1

REACTION_USERS_MAX = 50  # listed in a reaction; bounds the size of a message with many reactions
EDITS_MAX = 250  # of one message; edits and deletions scan them for the one that still has its text
REACTION_KINDS_MAX = 32  # different emoji on one message: with 50 names each it weighs at most about 100 KiB


class ReactionUsers(NamedTuple):
    """The users of one emoji after a change: the first REACTION_USERS_MAX by time, and the total number."""

    users: Sequence[str]
    total: int


NO_USERS = ReactionUsers((), 0)


def apply_change(target: v1.Event, change: v1.Event, reaction_users: ReactionUsers = NO_USERS) -> v1.Event:
    """The message `target` after `change` (`edited`, `deleted` or `reacted`); neither is modified.

    For `reacted`, `reaction_users` are those of its emoji after the change. A deleted message does not change.
    """
    updated = v1.Event()
    updated.CopyFrom(target)
    posted = updated.posted
    if posted.deleted:
        return updated
    match change.WhichOneof("what"):
        case "edited":
            posted.text = change.edited.text
            posted.edited_at_ms = change.at_ms
        case "deleted":
            updated.posted.CopyFrom(v1.Posted(reply_to=posted.reply_to, deleted=True))
        case "reacted":
            _apply_reaction(posted, change.reacted.emoji, reaction_users)
    return updated


def redact_edit(edited: v1.Event) -> v1.Event:
    """An `edited` event without its text, for a message that was edited again or deleted."""
    redacted = v1.Event()
    redacted.CopyFrom(edited)
    redacted.edited.text = ""
    return redacted


def _apply_reaction(posted: v1.Posted, emoji: str, reaction_users: ReactionUsers) -> None:
    """Emoji keep the order of their first use; one without users is removed."""
    reaction = v1.Reaction(emoji=emoji, users=reaction_users.users[:REACTION_USERS_MAX], count=reaction_users.total)
    for index, existing in enumerate(posted.reactions):
        if existing.emoji == emoji:
            if reaction_users.total:
                existing.CopyFrom(reaction)
            else:
                del posted.reactions[index]
            return
    if reaction_users.total:
        posted.reactions.append(reaction)
