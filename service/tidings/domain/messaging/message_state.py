"""What later events make of a message.

The log never loses an event, but a message is read with what became of it: its newest text, the reactions to it, or
nothing but the mark that it was deleted. `apply_change` is that rule. It is pure; a store keeps its result in the
message's own place of the log, in the same transaction that appends the change.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tidings.contract import v1

REACTION_USERS_MAX = 50  # named in a message's reaction; what a popular message weighs must not grow with its fame
EDITS_MAX = 250  # of one message; an edit and a deletion look through them for the one that still has its text
REACTION_KINDS_MAX = 32  # different emoji on one message: with 50 names each it weighs at most about 100 KiB


class ReactionUsers(NamedTuple):
    """Who stands behind one emoji after a change: the first REACTION_USERS_MAX by arrival, and how many in all."""

    users: Sequence[str]
    total: int


NO_USERS = ReactionUsers((), 0)


def apply_change(target: v1.Event, change: v1.Event, reaction_users: ReactionUsers = NO_USERS) -> v1.Event:
    """The message `target` after `change` (`edited`, `deleted` or `reacted`); neither of them is touched.

    For `reacted`, `reaction_users` are those of its emoji after the change. A message that was deleted stays as it is.
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
    """An `edited` event of a message that was edited again or deleted: that it happened stays, the text goes."""
    redacted = v1.Event()
    redacted.CopyFrom(edited)
    redacted.edited.text = ""
    return redacted


def _apply_reaction(posted: v1.Posted, emoji: str, reaction_users: ReactionUsers) -> None:
    """Emoji stay in the order in which they first came; one that nobody stands behind is gone."""
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
