"""One form for each emoji, so that ❤ and ❤️, 👍 and 👍️ are counted together.

Unicode writes an emoji in up to three ways that differ in variation selectors only (UTS #51, ED-18). The form kept here
is the fully-qualified one, which every system draws in colour: VARIATION SELECTOR-16 behind each character that would
be drawn as text without it, and nowhere else. That needs no list of emoji, only of those 219 characters; it has been
closed since emoji are drawn in colour from the start.
"""

import re
from collections.abc import Iterable
from typing import Final

from tidings.domain.validation.characters import BLANK

VARIATION_SELECTOR_16: Final = "\ufe0f"
_VARIATION_SELECTORS: Final = re.compile(f"[\ufe0e{VARIATION_SELECTOR_16}]")
# Emoji=Yes and Emoji_Presentation=No; digits, # and * only before the sign that makes them a key.
_TEXT_PRESENTATION: Final = (
    "©®‼⁉™ℹ↔↕↖↗↘↙↩↪⌨⏏⏭⏮⏯⏱⏲⏸⏹⏺Ⓜ▪▫▶◀◻◼☀☁☂☃☄☎☑☘☝☠☢☣☦☪☮☯☸☹☺♀♂♟♠♣♥♦♨♻♾⚒⚔⚕⚖⚗⚙⚛⚜⚠⚧⚰⚱⛈⛏⛑⛓⛩⛰⛱⛴⛷⛸⛹✂✈✉✌✍✏✒✔✖✝✡✳✴"
    "❄❇❣❤➡⤴⤵⬅⬆⬇〰〽㊗㊙🅰🅱🅾🅿🈂🈷🌡🌤🌥🌦🌧🌨🌩🌪🌫🌬🌶🍽🎖🎗🎙🎚🎛🎞🎟🏋🏌🏍🏎🏔🏕🏖🏗🏘🏙🏚🏛🏜🏝🏞🏟🏳🏵🏷🐿👁📽🕉🕊🕯🕰🕳🕴🕵🕶🕷🕸🕹🖇🖊🖋🖌🖍🖐"
    "🖥🖨🖱🖲🖼🗂🗃🗄🗑🗒🗓🗜🗝🗞🗡🗣🗨🗯🗳🗺🛋🛍🛎🛏🛠🛡🛢🛣🛤🛥🛩🛰🛳"
)
_NEEDS_SELECTOR: Final = re.compile(f"[0-9#*](?=\u20e3)|[{_TEXT_PRESENTATION}](?![\U0001f3fb-\U0001f3ff])")

# A flag of a part of a country is written in letters that are not drawn; joiners stand between what they join.
_SUBDIVISION_FLAG: Final = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
_JOINERS: Final = "\u200c\u200d"
_SELECTOR_OR_SPACE: Final = re.compile(f"[ {VARIATION_SELECTOR_16}]")
_JOINER_INSIDE: Final = re.compile(f"(?<=[^\x00-\x7f{_JOINERS}])[{_JOINERS}](?=[^\x00-\x7f{_JOINERS}])")
_BLANK: Final = re.compile(f"[{BLANK}]")


def strip_variation_selectors(emoji: str) -> str:
    """The reaction without the selectors that say how it is drawn: to be composed next."""
    return emoji if emoji.isascii() else _VARIATION_SELECTORS.sub("", emoji)


def canonical_emoji(emoji: str) -> str:
    """The form that is kept and counted, of a reaction in NFC and without styles; words have single spaces between."""
    emoji = " ".join(emoji.split())
    return emoji if emoji.isascii() else _NEEDS_SELECTOR.sub(rf"\g<0>{VARIATION_SELECTOR_16}", emoji)


def equivalent_forms(emoji: str, stored: Iterable[str]) -> list[str]:
    """The known forms of a reaction, given its canonical form, which comes first: older ones were kept in any form."""
    forms = [other for other in stored if other == emoji or canonical_emoji(strip_variation_selectors(other)) == emoji]
    return sorted(forms, key=lambda form: form != emoji)


def find_invisible(emoji: str) -> str:
    """The first character of a reaction in its canonical form that cannot be seen; empty if there is none."""
    rest = _SELECTOR_OR_SPACE.sub("", _JOINER_INSIDE.sub("", _SUBDIVISION_FLAG.sub("", emoji)))
    found = _BLANK.search(rest)
    return found[0] if found else ""
