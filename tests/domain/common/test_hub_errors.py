"""How streams end."""

import pytest

from domain.harness import RecordingSink as Recorder
from tidings.contract.errors import ApiError, Code, not_found
from tidings.domain.common.hub_errors import ErrorTranslatingSink, access_lost, translate_hub_error
from tidings.hub import (
    CursorBeyondHeadError,
    CursorLostError,
    HubError,
    TooManyKeysError,
    TooManySubscriptionsError,
    TooSlowError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CursorLostError("gone"), Code.CURSOR_LOST),
        (CursorBeyondHeadError("ahead"), Code.CURSOR_LOST),
        (TooSlowError("den", "e", 7, "too far behind"), Code.TOO_SLOW),
        (TooManySubscriptionsError("full"), Code.RESOURCE_EXHAUSTED),
        (TooManyKeysError("many"), Code.RESOURCE_EXHAUSTED),
        (not_found("there is none"), Code.NOT_FOUND),
        (access_lost("den"), Code.PERMISSION_DENIED),
    ],
)
def test_every_hub_error_becomes_an_error_of_the_contract(error: Exception, code: Code) -> None:
    failure = translate_hub_error(error)
    assert isinstance(failure, ApiError)
    assert failure.code is code


def test_every_hub_error_is_translated() -> None:
    def kinds(of: type[HubError]) -> set[type[HubError]]:
        return {of}.union(*map(kinds, of.__subclasses__()))

    known = {
        HubError,
        CursorLostError,
        CursorBeyondHeadError,
        TooSlowError,
        TooManySubscriptionsError,
        TooManyKeysError,
    }
    assert {kind for kind in kinds(HubError) if kind.__module__.startswith("tidings.hub")} == known


def test_too_slow_carries_the_cursor_to_resume_from() -> None:
    failure = translate_hub_error(TooSlowError("den", "e", 7, "too far behind"))
    assert isinstance(failure, ApiError)
    assert failure.cursor == ("e", 7)
    assert "7" in failure.text


def test_a_fault_stays_what_it_is() -> None:
    fault = ZeroDivisionError()
    assert translate_hub_error(fault) is fault


def test_the_sink_translates_errors_and_adds_no_call_to_delivery() -> None:
    recorder = Recorder()
    reader = ErrorTranslatingSink(recorder)
    assert reader.demand == recorder.demand
    assert reader.deliver == recorder.deliver
    reader.fail(CursorLostError("gone"))
    assert recorder.api_error.code is Code.CURSOR_LOST
