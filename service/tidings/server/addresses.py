"""Where a service is, as somebody on this machine would write it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListenAddresses:
    """Of both ports; `tcp` is `not offered` where there is none."""

    ws: str
    tcp: str
