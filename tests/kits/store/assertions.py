"""What a refusal looks like."""

import contextlib
from collections.abc import Iterator

import pytest

from tidings.contract.errors import ApiError, Code


@contextlib.contextmanager
def raises_api_error(code: Code) -> Iterator[None]:
    """The block is refused with this code, in one line."""
    with pytest.raises(ApiError) as caught:
        yield
    assert caught.value.code is code
    assert "\n" not in caught.value.text
