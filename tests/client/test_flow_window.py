"""Demand follows the consumer."""

from hypothesis import given
from hypothesis import strategies as st

from tidings_client.flow_window import FlowWindow


def test_a_new_stream_is_granted_the_whole_window() -> None:
    assert FlowWindow(64).open_stream() == 64


def test_nothing_is_granted_while_nothing_is_taken() -> None:
    window = FlowWindow(8)
    window.open_stream()
    for _ in range(8):
        window.on_received(10)
        assert window.refill() == 0


def test_the_window_is_refilled_when_three_quarters_of_it_were_taken() -> None:
    window = FlowWindow(64)
    window.open_stream()
    granted = []
    for _ in range(64):
        window.on_received(10)
        window.on_consumed(10)
        granted.append(window.refill())
    assert granted[47] == 48
    assert sum(granted) == 48


def test_a_window_of_one_goes_item_by_item() -> None:
    window = FlowWindow(1)
    assert window.open_stream() == 1
    window.on_received(10)
    window.on_consumed(10)
    assert window.refill() == 1


def test_many_bytes_that_nobody_takes_hold_the_refill_back() -> None:
    window = FlowWindow(4, bytes_max=100)
    window.open_stream()
    for _ in range(4):
        window.on_received(60)
    window.on_consumed(60)
    window.on_consumed(60)
    window.on_consumed(60)
    assert window.refill() == 3
    for _ in range(3):
        window.on_received(60)
    window.on_consumed(60)
    assert window.refill() == 0


def test_a_full_window_opens_no_stream() -> None:
    window = FlowWindow(4)
    window.open_stream()
    for _ in range(4):
        window.on_received(1)
    window.on_stream_ended()
    assert window.open_stream() == 0
    for _ in range(3):
        window.on_consumed(1)
    assert window.open_stream() == 3


@given(
    items_max=st.integers(1, 80),
    steps=st.lists(st.tuples(st.sampled_from(["arrive", "take", "break"]), st.integers(0, 200)), max_size=300),
)
def test_what_is_granted_and_what_lies_here_never_exceeds_the_window_and_never_stalls(
    items_max: int, steps: list[tuple[str, int]]
) -> None:
    window = FlowWindow(items_max, bytes_max=1000)
    held: list[int] = []
    is_open = bool(window.open_stream())
    for step, size in steps:
        if step == "arrive" and window.credit:
            window.on_received(size)
            held.append(size)
        elif step == "take" and held:
            window.on_consumed(held.pop(0))
            if is_open:
                window.refill()
        elif step == "break":
            window.on_stream_ended()
            is_open = False
        if not is_open:
            is_open = bool(window.open_stream())
        assert window.buffered == len(held)
        assert window.buffered_bytes == sum(held)
        assert 0 <= window.credit <= items_max - len(held)
    # Whoever takes everything is granted something.
    while held:
        window.on_consumed(held.pop(0))
        if is_open:
            window.refill()
        else:
            is_open = bool(window.open_stream())
    assert is_open
    assert window.credit > 0
