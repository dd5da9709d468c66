"""What is wrong with the files of a store while it runs, in words for its operator."""

from collections.abc import Hashable

from tidings.log import log

REASONS_MAX = 100  # more than an operator reads one by one


class Condition:
    """The reasons why a store is degraded, each under the thing it is about. May be used from every thread."""

    __slots__ = ("_reasons",)

    def __init__(self) -> None:
        self._reasons: dict[Hashable, str] = {}

    def note(self, what: Hashable, reason: str) -> None:
        """From now on, for this reason. Logged when it is a new one."""
        if self._reasons.get(what) != reason and (what in self._reasons or len(self._reasons) < REASONS_MAX):
            self._reasons[what] = reason
            log.error("the store is degraded", reason=reason)

    def clear(self, what: Hashable) -> None:
        """This is right again."""
        if self._reasons.pop(what, None) is not None:
            log.info("the store has recovered", what=str(what))

    def reasons(self) -> list[str]:
        """All of them, oldest first."""
        return list(self._reasons.values())
