"""The problems of a running store's files, as texts for its operator."""

from collections.abc import Hashable

from tidings.log import log

PROBLEMS_MAX = 100  # more than an operator reads one by one; each costs about 0.3 KiB


class StoreProblems:
    """The reasons why a store is degraded, by subject. Can be used from every thread."""

    __slots__ = ("_descriptions",)

    def __init__(self) -> None:
        self._descriptions: dict[Hashable, str] = {}

    def report(self, subject: Hashable, reason: str) -> None:
        """Add or replace the reason of a subject. Logged when it is new."""
        if self._descriptions.get(subject) != reason and (
            subject in self._descriptions or len(self._descriptions) < PROBLEMS_MAX
        ):
            self._descriptions[subject] = reason
            log.error("the store is degraded", reason=reason)

    def resolve(self, subject: Hashable) -> None:
        """Remove the subject. Logged when it had a reason."""
        if self._descriptions.pop(subject, None) is not None:
            log.info("the store has recovered", what=str(subject))

    def descriptions(self) -> list[str]:
        """All reasons, oldest first."""
        return list(self._descriptions.values())
