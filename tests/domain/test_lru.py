"""A dictionary that forgets."""

from tidings.domain.lru import Lru


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    lru: Lru[str, int] = Lru(2)
    assert (lru.put("a", 1), lru.put("b", 0)) == (None, None)
    assert lru.get("a") == 1
    assert lru.put("c", 3) == "b"
    assert (list(lru), len(lru)) == (["a", "c"], 2)
    assert (lru.get("b"), lru.drop("b")) == (None, None)


def test_a_look_does_not_count_as_use_and_a_value_of_0_is_one() -> None:
    lru: Lru[str, int] = Lru(2)
    lru.put("a", 0)
    lru.put("b", 1)
    assert lru.peek("a") == 0
    assert lru.put("c", 2) == "a"
    assert lru.put("b", 5) is None
    assert lru.drop("b") == 5
    assert list(lru) == ["c"]
