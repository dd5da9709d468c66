"""A dictionary that forgets."""

from tidings.domain.common.lru_cache import LruCache


def test_the_least_recently_used_entry_is_evicted_first() -> None:
    lru: LruCache[str, int] = LruCache(2)
    assert (lru.put("a", 1), lru.put("b", 0)) == (None, None)
    assert lru.get("a") == 1
    assert lru.put("c", 3) == "b"
    assert (list(lru), len(lru)) == (["a", "c"], 2)
    assert (lru.get("b"), lru.pop("b")) == (None, None)


def test_a_peek_does_not_count_as_use_and_0_is_a_value() -> None:
    lru: LruCache[str, int] = LruCache(2)
    lru.put("a", 0)
    lru.put("b", 1)
    assert lru.peek("a") == 0
    assert lru.put("c", 2) == "a"
    assert lru.put("b", 5) is None
    assert lru.pop("b") == 5
    assert list(lru) == ["c"]
