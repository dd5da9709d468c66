"""What is wrong with the files of a store while it runs, in words for its operator."""

from collections.abc import Hashable

from tidings.log import log

PROBLEMS_MAX = 100  # more than an operator reads one by one


class StoreProblems:
    """The reasons why a store is degraded, each under the thing it is about. May be used from every thread."""

    __slots__ = ("_descriptions",)

    def __init__(self) -> None:
        self._descriptions: dict[Hashable, str] = {}

    def report(self, subject: Hashable, reason: str) -> None:
        """From now on, for this reason. Logged when it is a new one."""
        if self._descriptions.get(subject) != reason and (
            subject in self._descriptions or len(self._descriptions) < PROBLEMS_MAX
        ):
            self._descriptions[subject] = reason
            log.error("the store is degraded", reason=reason)

    def resolve(self, subject: Hashable) -> None:
        """This is right again."""
        if self._descriptions.pop(subject, None) is not None:
            log.info("the store has recovered", what=str(subject))

    def descriptions(self) -> list[str]:
        """All of them, oldest first."""
        return list(self._descriptions.values())
