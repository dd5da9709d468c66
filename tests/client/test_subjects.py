"""From a user's name back to what the identity provider calls them."""

import pytest

import tidings_client


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("ada", "ada"),
        ("ada@example.com", "ada@example.com"),
        ("auth0=7c5f7c", "auth0|5f7c"),
        ("DOMAIN=5cada", "DOMAIN\\ada"),
        ("Ada=20Lovelace", "Ada Lovelace"),
        ("=e5=b1=b1", "山"),
        ("a=3d7cb", "a=7cb"),
    ],
)
def test_the_sdk_reads_the_subject_of_a_user(user: str, subject: str) -> None:
    assert tidings_client.user_to_subject(user) == subject


@pytest.mark.parametrize("text", ["=", "a=7", "a=7C", "a=g0", "=ff"])
def test_what_is_no_users_name_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        tidings_client.user_to_subject(text)
