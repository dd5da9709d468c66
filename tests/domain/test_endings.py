"""How streams end."""

import pytest

from domain.stage import Reader as Recorder
from tidings.contract.errors import Code, Failure, not_found
from tidings.domain.endings import Reader, access_lost, failure_of
from tidings.hub import CursorBeyondHead, CursorLost, HubError, TooManyKeys, TooManySubscriptions, TooSlow


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CursorLost("gone"), Code.CURSOR_LOST),
        (CursorBeyondHead("ahead"), Code.CURSOR_LOST),
        (TooSlow("den", "e", 7, "too far behind"), Code.TOO_SLOW),
        (TooManySubscriptions("full"), Code.RESOURCE_EXHAUSTED),
        (TooManyKeys("many"), Code.RESOURCE_EXHAUSTED),
        (not_found("there is none"), Code.NOT_FOUND),
        (access_lost("den"), Code.PERMISSION_DENIED),
    ],
)
def test_every_reason_of_the_hub_has_its_words_in_the_contract(error: Exception, code: Code) -> None:
    failure = failure_of(error)
    assert isinstance(failure, Failure)
    assert failure.code is code


def test_no_reason_of_the_hub_is_forgotten() -> None:
    def kinds(of: type[HubError]) -> set[type[HubError]]:
        return {of}.union(*map(kinds, of.__subclasses__()))

    known = {HubError, CursorLost, CursorBeyondHead, TooSlow, TooManySubscriptions, TooManyKeys}
    assert {kind for kind in kinds(HubError) if kind.__module__.startswith("tidings.hub")} == known


def test_too_slow_carries_the_cursor_to_resume_from() -> None:
    failure = failure_of(TooSlow("den", "e", 7, "too far behind"))
    assert isinstance(failure, Failure)
    assert failure.cursor == ("e", 7)
    assert "7" in failure.text


def test_a_fault_stays_what_it_is() -> None:
    fault = ZeroDivisionError()
    assert failure_of(fault) is fault


def test_a_reader_translates_failures_and_nothing_else_is_in_the_way() -> None:
    recorder = Recorder()
    reader = Reader(recorder)
    assert reader.demand == recorder.demand
    assert reader.deliver == recorder.deliver
    reader.fail(CursorLost("gone"))
    assert recorder.failure.code is Code.CURSOR_LOST
