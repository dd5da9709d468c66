"""What later events make of a message.

The log never loses an event, but a message is read with what became of it: its newest text, the reactions to it, or
nothing but the mark that it was deleted. `fold` is that rule. It is pure; a store keeps its result in the message's
own place of the log, in the same transaction that appends the change.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tidings.contract import v1

REACTION_USERS_MAX = 50  # named in a message's reaction; what a popular message weighs must not grow with its fame
EDITS_MAX = 250  # of one message; an edit and a deletion look through them for the one that still has its text
REACTION_KINDS_MAX = 32  # different emoji on one message: with 50 names each it weighs at most about 100 KiB


class Reactors(NamedTuple):
    """Who stands behind one emoji after a change: the first REACTION_USERS_MAX by arrival, and how many in all."""

    users: Sequence[str]
    total: int


NOBODY = Reactors((), 0)


def fold(target: v1.Event, change: v1.Event, reactors: Reactors = NOBODY) -> v1.Event:
    """The message `target` after `change` (`edited`, `deleted` or `reacted`); neither of them is touched.

    For `reacted`, `reactors` are those of its emoji after the change. A message that was deleted stays as it is.
    """
    folded = v1.Event()
    folded.CopyFrom(target)
    posted = folded.posted
    if posted.deleted:
        return folded
    match change.WhichOneof("what"):
        case "edited":
            posted.text = change.edited.text
            posted.edited_at_ms = change.at_ms
        case "deleted":
            folded.posted.CopyFrom(v1.Posted(reply_to=posted.reply_to, deleted=True))
        case "reacted":
            _react(posted, change.reacted.emoji, reactors)
    return folded


def redact(edited: v1.Event) -> v1.Event:
    """An `edited` event of a message that was edited again or deleted: that it happened stays, the text goes."""
    bare = v1.Event()
    bare.CopyFrom(edited)
    bare.edited.text = ""
    return bare


def _react(posted: v1.Posted, emoji: str, reactors: Reactors) -> None:
    """Emoji stay in the order in which they first came; one that nobody stands behind is gone."""
    reaction = v1.Reaction(emoji=emoji, users=reactors.users[:REACTION_USERS_MAX], count=reactors.total)
    for place, known in enumerate(posted.reactions):
        if known.emoji == emoji:
            if reactors.total:
                known.CopyFrom(reaction)
            else:
                del posted.reactions[place]
            return
    if reactors.total:
        posted.reactions.append(reaction)
