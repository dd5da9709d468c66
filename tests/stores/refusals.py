"""What a refusal looks like."""

import contextlib
from collections.abc import Iterator

import pytest

from tidings.contract.errors import Code, Failure


@contextlib.contextmanager
def refused(code: Code) -> Iterator[None]:
    """The block is refused with this code, in one line."""
    with pytest.raises(Failure) as caught:
        yield
    assert caught.value.code is code
    assert "\n" not in caught.value.text
