"""Tokens: what is believed, and everything that is not."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from domain.harness import START_MS, raises_error
from tidings.contract.context import Identity
from tidings.contract.errors import ApiError, Code
from tidings.contract.user_ids import user_to_subject
from tidings.domain.identity.jwt import JwtSettings, JwtVerifier, issue_token
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.validation.validator import Validator

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = START_MS // 1000
RULES = Validator(DomainLimits())
REFUSED = Code.UNAUTHENTICATED


def jwt_verifier(**settings: str) -> JwtVerifier:
    return JwtVerifier(JwtSettings(SECRET, **settings), RULES)


def sign(claims: dict[str, Any], secret: bytes = SECRET, **header: Any) -> str:
    """A token made by hand, with whatever is in it."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    body = b".".join(part(json.dumps(each).encode()) for each in ({"alg": "HS256", **header}, claims))
    return (body + b"." + part(hmac.digest(secret, body, hashlib.sha256))).decode()


def sign_text(header: str, claims: str) -> str:
    """A token with exactly these two texts in it."""
    parts = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.digest(SECRET, b".".join(parts), hashlib.sha256)
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def claims(**more: Any) -> dict[str, Any]:
    return {key: value for key, value in {"sub": "alice", "exp": NOW + 60, **more}.items() if value is not None}


def test_a_token_that_was_issued_says_who_it_is_and_until_when() -> None:
    token = issue_token("alice", secret=SECRET, ttl_seconds=60, now_ms=START_MS)
    assert jwt_verifier().verify(token, START_MS) == Identity("alice", expires_at_ms=START_MS + 60_000)


@pytest.mark.parametrize(
    ("header", "twice", "named"),
    [
        ('{"alg":"HS256"}', '"sub":"bob",', "sub"),
        ('{"alg":"HS256"}', f'"exp":{NOW + 9_999},', "exp"),
        ('{"alg":"HS256"}', r'"\u0073ub":"bob",', "sub"),
        ('{"alg":"HS256"}', '"operator":true,"operator":false,', "operator"),
        ('{"alg":"HS256"}', '"about":{"a":1,"a":2},', "a"),
        ('{"alg":"HS256","alg":"HS256"}', "", "alg"),
        ('{"alg":"none","alg":"HS256"}', "", "alg"),
        ('{"alg":"HS256","typ":"JWT","typ":"at+jwt"}', "", "typ"),
    ],
)
def test_a_token_that_says_something_twice_is_refused(header: str, twice: str, named: str) -> None:
    token = sign_text(header, f'{{{twice}"sub":"alice","exp":{NOW + 60}}}')
    with raises_error(REFUSED, f'it has "{named}" twice in one object'):
        jwt_verifier().verify(token, START_MS)
    once = sign_text('{"alg":"HS256"}', f'{{"sub":"alice","exp":{NOW + 60}}}')
    assert jwt_verifier().verify(once, START_MS).user == "alice"


def test_a_token_may_make_an_operator() -> None:
    token = issue_token("root", secret=SECRET, ttl_seconds=60, now_ms=START_MS, operator=True)
    assert jwt_verifier().verify(token, START_MS).operator
    assert not jwt_verifier().verify(sign(claims(operator="true")), START_MS).operator
    assert not jwt_verifier().verify(sign(claims(operator=1)), START_MS).operator


@pytest.mark.parametrize(
    ("given_claims", "words"),
    [
        (claims(exp=None), "no exp"),
        (claims(exp=NOW - 5), "ended"),
        (claims(exp="tomorrow"), "exp"),
        (claims(exp=True), "exp"),
        (claims(exp="12"), "exp"),
        (claims(exp=[NOW + 60]), "exp"),
        (claims(exp=float("nan")), "exp"),
        (claims(nbf=True), "nbf"),
        (claims(exp=float("inf")), "exp"),
        (claims(exp=-1), "exp"),
        (claims(nbf=NOW + 6), "begins"),
        (claims(nbf="now"), "nbf"),
        (claims(sub=None), "no sub"),
        (claims(sub=7), "no sub"),
        (claims(sub=""), "makes no user name: the subject '' has 0 bytes as a user name, 1 to 64 are needed"),
        (claims(sub="x" * 65), "has 65 bytes as a user name, 1 to 64 are needed"),
        (claims(sub="a" + " " * 22), "has 67 bytes as a user name, 1 to 64 are needed"),
        (claims(sub="CN=Ada Lovelace,OU=Engines," * 8), "or raise domain.id_bytes_max"),
        (claims(sub="\ud800"), "half a surrogate pair"),
    ],
)
def test_a_token_with_claims_that_do_not_do_is_refused_and_told_why(given_claims: dict[str, Any], words: str) -> None:
    with raises_error(REFUSED, words):
        jwt_verifier().verify(sign(given_claims), START_MS)


@pytest.mark.parametrize(
    ("subject", "user"),
    [
        ("alice", "alice"),
        ("ADA", "ADA"),
        ("ada@example.com", "ada@example.com"),
        ("иван", "иван"),
        ("auth0|5f7c", "auth0=7c5f7c"),
        ("DOMAIN\\ada", "DOMAIN=5cada"),
        ("ada+chat@example.com", "ada=2bchat@example.com"),
        ("Ada Lovelace", "Ada=20Lovelace"),
        ("山田 太郎", "山田=20太郎"),
        ("CN=Ada,O=Engines", "CN=3dAda=2cO=3dEngines"),
        ("a=7cb", "a=3d7cb"),
        ("\u0430dmin", "=d0=b0dmin"),  # a Cyrillic а is no Latin a
        ("cafe\u0301", "cafe=cc=81"),  # café in another form is another subject
        ("\uff21da", "=ef=bc=a1da"),
        ("a\nb", "a=0ab"),
        ("😀", "=f0=9f=98=80"),
    ],
)
def test_every_subject_is_a_user_and_can_be_read_back(subject: str, user: str) -> None:
    assert jwt_verifier().verify(sign(claims(sub=subject)), START_MS).user == user
    assert user_to_subject(user) == subject
    token = issue_token(user, secret=SECRET, ttl_seconds=60, now_ms=START_MS)
    assert jwt_verifier().verify(token, START_MS).user == user


def test_a_longer_subject_is_a_user_where_names_may_be_longer() -> None:
    rules = Validator(DomainLimits(id_bytes_max=256))
    subject = "CN=Ada Lovelace,OU=Analytical Engines,O=Example,L=London,C=GB"
    user = JwtVerifier(JwtSettings(SECRET), rules).verify(sign(claims(sub=subject)), START_MS).user
    assert user_to_subject(user) == subject


def test_clocks_may_differ_by_a_few_seconds() -> None:
    for given_claims in (claims(exp=NOW - 4), claims(nbf=NOW + 5)):
        assert jwt_verifier().verify(sign(given_claims), START_MS).user == "alice"


def test_an_issuer_and_an_audience_are_checked_where_they_are_set() -> None:
    strict = jwt_verifier(issuer="me", audience="chat")
    assert strict.verify(sign(claims(iss="me", aud="chat")), START_MS).user == "alice"
    assert strict.verify(sign(claims(iss="me", aud=["mail", "chat"])), START_MS).user == "alice"
    for wrong, words in (
        (claims(aud="chat"), "iss"),
        (claims(iss="you", aud="chat"), "iss"),
        (claims(iss="me"), "aud"),
        (claims(iss="me", aud="chatter"), "aud"),
        (claims(iss="me", aud=["mail"]), "aud"),
        (claims(iss="me", aud={"chat": 1}), "aud"),
    ):
        with raises_error(REFUSED, words):
            strict.verify(sign(wrong), START_MS)
    token = issue_token("alice", secret=SECRET, ttl_seconds=9, now_ms=START_MS, issuer="me", audience="chat")
    assert strict.verify(token, START_MS).user == "alice"


def test_another_secret_or_a_changed_token_is_refused() -> None:
    good = sign(claims())
    head, body, signature = good.split(".")
    other = sign(claims(sub="root")).split(".")[1]
    for wrong in (
        sign(claims(), secret=b"x" * 32),
        f"{head}.{other}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{signature}.more",
        good[:-4],
        "",
        "not a token",
        "ä" * 10,
        "x" * 10_000,
    ):
        with raises_error(REFUSED):
            jwt_verifier().verify(wrong, START_MS)


@pytest.mark.parametrize("algorithm", ["none", "HS384", "HS512", "RS256", "hs256", "", None, 7])
def test_no_other_algorithm_is_taken_whatever_the_token_says(algorithm: object) -> None:
    with raises_error(REFUSED):
        jwt_verifier().verify(sign(claims(), alg=algorithm), START_MS)


def test_tokens_signed_in_other_ways_are_refused() -> None:
    key = OctKey.import_key(SECRET)
    for algorithm in ("HS384", "HS512"):
        with raises_error(REFUSED):
            jwt_verifier().verify(jwt.encode({"alg": algorithm}, claims(), key, algorithms=[algorithm]), START_MS)
    with raises_error(REFUSED):
        rsa = RSAKey.generate_key(2048)
        jwt_verifier().verify(jwt.encode({"alg": "RS256"}, claims(), rsa), START_MS)


@given(st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_no_text_does_anything_but_be_refused(text: str) -> None:
    for token in (text, f"{text}.{text}.{text}", f"eyJhbGciOiJIUzI1NiJ9.{text}.{text}"):
        with pytest.raises(ApiError):
            jwt_verifier().verify(token, START_MS)


def test_a_short_secret_is_refused_before_anything_is_signed_with_it() -> None:
    for make in (
        lambda: JwtSettings(b"x" * 31),
        lambda: issue_token("alice", secret=b"x" * 31, ttl_seconds=60, now_ms=START_MS),
    ):
        with pytest.raises(ValueError, match="31 bytes, at least 32"):
            make()


def test_a_secret_does_not_show_when_settings_are_printed() -> None:
    assert "0123456789" not in repr(JwtSettings(SECRET))
