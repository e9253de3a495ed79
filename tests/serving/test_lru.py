"""What was not used for the longest time is forgotten, and nothing else."""

from __future__ import annotations

from versioned_storage.serving.lru import LRU


def test_the_value_that_was_not_used_for_the_longest_time_goes() -> None:
    values: LRU[int] = LRU(2)
    values.put("a", 1)
    values.put("b", 2)
    assert values.get("a") == 1
    values.put("c", 3)
    assert (values.get("a"), values.get("b"), values.get("c")) == (1, None, 3)
    assert len(values) == 2


def test_a_name_has_its_last_value_until_it_is_removed() -> None:
    values: LRU[int] = LRU(2)
    values.put("a", 1)
    values.put("a", 2)
    assert values.get("a") == 2
    values.remove("a")
    values.remove("a")
    assert values.get("a") is None
