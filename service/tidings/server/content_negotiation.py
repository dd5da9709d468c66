"""What a client can read, as its `Accept` and `Accept-Encoding` say it (RFC 9110, section 12)."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

IDENTITY: Final = "identity"
GZIP: Final = "gzip"
IMPLICIT_WEIGHT: Final = 0.0001  # less than any weight that can be written
# A weight (section 12.4.2): 0 to 1 with three digits at most.
_WEIGHT: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def accepted_codings(lines: Iterable[str] | None) -> list[str]:
    """Which of `identity` and `gzip` the client takes, the one it likes best first.

    `lines` are those of Accept-Encoding; None where there is none, which says nothing, so nothing is packed.
    """
    if lines is None:
        return [IDENTITY]
    weights = _weights(lines)
    gzip_weight = weights.get(GZIP, weights.get("x-gzip", weights.get("*", 0.0)))
    # Who does not name it takes it, after what is named, unless everything that is not named is refused (12.5.3).
    identity_weight = weights.get(IDENTITY, 0.0 if weights.get("*") == 0 else IMPLICIT_WEIGHT)
    found = sorted(((gzip_weight, GZIP), (identity_weight, IDENTITY)), reverse=True, key=lambda pair: pair[0])
    return [coding for weight, coding in found if weight > 0]


def prefers_text(lines: Iterable[str]) -> bool:
    """Whether a text is liked better than JSON. Who likes both alike, or says nothing, gets JSON."""
    weights = _weights(lines)

    def weight(*names: str) -> float:
        return next((weights[name] for name in names if name in weights), 0.0)

    text = max(weight("text/plain", "text/*", "*/*"), weight("text/html", "text/*", "*/*"))
    return text > weight("application/json", "application/*", "*/*")


def _weights(lines: Iterable[str]) -> Mapping[str, float]:
    """Weight by member, in lower case; the first of a name counts. What has no proper weight is left out."""
    weights: dict[str, float] = {}
    for member in ",".join(lines).split(","):
        name, *parameters = (part.strip(" \t") for part in member.split(";"))
        weight = "1"
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.rstrip(" \t").lower() == "q":
                weight = value.lstrip(" \t")
        if name and _WEIGHT.fullmatch(weight):
            weights.setdefault(name.lower(), float(weight))
    return weights
