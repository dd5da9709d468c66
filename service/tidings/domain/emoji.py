"""One form for each emoji, so that ❤ and ❤️, 👍 and 👍️ are counted together.

Unicode writes an emoji in up to three ways that differ in variation selectors only (UTS #51, ED-18). The form kept here
is the fully-qualified one, which every system draws in colour: VARIATION SELECTOR-16 behind each character that would
be drawn as text without it, and nowhere else. That needs no list of emoji, only of those 219 characters; it has been
closed since emoji are drawn in colour from the start.
"""

import re
from collections.abc import Iterable
from typing import Final

from tidings.domain.characters import BLANK

EMOJI_STYLE: Final = "\ufe0f"
_STYLES: Final = re.compile(f"[\ufe0e{EMOJI_STYLE}]")
# Emoji=Yes and Emoji_Presentation=No; digits, # and * only before the sign that makes them a key.
_DRAWN_AS_TEXT: Final = (
    "©®‼⁉™ℹ↔↕↖↗↘↙↩↪⌨⏏⏭⏮⏯⏱⏲⏸⏹⏺Ⓜ▪▫▶◀◻◼☀☁☂☃☄☎☑☘☝☠☢☣☦☪☮☯☸☹☺♀♂♟♠♣♥♦♨♻♾⚒⚔⚕⚖⚗⚙⚛⚜⚠⚧⚰⚱⛈⛏⛑⛓⛩⛰⛱⛴⛷⛸⛹✂✈✉✌✍✏✒✔✖✝✡✳✴"
    "❄❇❣❤➡⤴⤵⬅⬆⬇〰〽㊗㊙🅰🅱🅾🅿🈂🈷🌡🌤🌥🌦🌧🌨🌩🌪🌫🌬🌶🍽🎖🎗🎙🎚🎛🎞🎟🏋🏌🏍🏎🏔🏕🏖🏗🏘🏙🏚🏛🏜🏝🏞🏟🏳🏵🏷🐿👁📽🕉🕊🕯🕰🕳🕴🕵🕶🕷🕸🕹🖇🖊🖋🖌🖍🖐"
    "🖥🖨🖱🖲🖼🗂🗃🗄🗑🗒🗓🗜🗝🗞🗡🗣🗨🗯🗳🗺🛋🛍🛎🛏🛠🛡🛢🛣🛤🛥🛩🛰🛳"
)
_TO_STYLE: Final = re.compile(f"[0-9#*](?=\u20e3)|[{_DRAWN_AS_TEXT}](?![\U0001f3fb-\U0001f3ff])")

# A flag of a part of a country is written in letters that are not drawn; joiners stand between what they join.
_FLAG: Final = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
_JOINERS: Final = "\u200c\u200d"
_STYLE_OR_SPACE: Final = re.compile(f"[ {EMOJI_STYLE}]")
_JOINED: Final = re.compile(f"(?<=[^\x00-\x7f{_JOINERS}])[{_JOINERS}](?=[^\x00-\x7f{_JOINERS}])")
_BLANK: Final = re.compile(f"[{BLANK}]")


def without_styles(emoji: str) -> str:
    """The reaction without the selectors that say how it is drawn: to be composed next."""
    return emoji if emoji.isascii() else _STYLES.sub("", emoji)


def canonical(emoji: str) -> str:
    """The form that is kept and counted, of a reaction in NFC and without styles; words have single spaces between."""
    emoji = " ".join(emoji.split())
    return emoji if emoji.isascii() else _TO_STYLE.sub(rf"\g<0>{EMOJI_STYLE}", emoji)


def forms_among(emoji: str, known: Iterable[str]) -> list[str]:
    """The known forms of a reaction, given its canonical form, which comes first: older ones were kept in any form."""
    forms = [other for other in known if other == emoji or canonical(without_styles(other)) == emoji]
    return sorted(forms, key=lambda form: form != emoji)


def unseen(emoji: str) -> str:
    """The first character of a reaction in its canonical form that cannot be seen; empty if there is none."""
    rest = _STYLE_OR_SPACE.sub("", _JOINED.sub("", _FLAG.sub("", emoji)))
    found = _BLANK.search(rest)
    return found[0] if found else ""
