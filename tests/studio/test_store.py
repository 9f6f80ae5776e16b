"""Entries: a change that was made from an older state is refused, and nothing is lost by many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crowdllm.studio.store import NoEntryError, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "entries.sqlite")


def test_what_is_added_is_there_for_another_store_on_the_file(store: Store) -> None:
    entry = store.add("problem", {"text": "a\0b 🙂"})
    assert Store(store.path).get(entry.id, "problem") == entry


def test_a_change_raises_the_revision(store: Store) -> None:
    entry = store.add("problem", {"text": "a"})
    saved = store.save(entry, {"text": "b"})
    assert saved is not None
    assert saved.revision == entry.revision + 1
    assert store.get(entry.id, "problem") == saved


def test_a_change_from_an_older_state_changes_nothing(store: Store) -> None:
    entry = store.add("problem", {"text": "a"})
    newer = store.save(entry, {"text": "b"})
    assert store.save(entry, {"text": "c"}) is None
    assert not store.remove(entry)
    assert store.get(entry.id, "problem") == newer


def test_an_entry_of_another_kind_is_not_found(store: Store) -> None:
    entry = store.add("problem", {})
    with pytest.raises(NoEntryError, match="there is no model"):
        store.get(entry.id, "model")


def test_the_same_identity_is_one_entry(store: Store) -> None:
    first, second = store.add("model", {"path": "x"}, "m"), store.add("model", {"path": "x"}, "m")
    third = store.add("model", {"path": "y"}, "m")
    assert first == second
    assert third.body == {"path": "y"}
    assert len(store.all("model")) == 1


def test_entries_come_in_the_order_they_were_made(store: Store) -> None:
    made = [store.add("problem", {"n": n}).id for n in range(5)]
    assert [entry.id for entry in store.all("problem")] == made


def test_of_many_changes_at_once_exactly_one_wins(store: Store) -> None:
    entry = store.add("problem", {"n": -1})
    with ThreadPoolExecutor(16) as pool:
        saved = list(pool.map(lambda n: store.save(entry, {"n": n}), range(16)))
    won = [one for one in saved if one is not None]
    assert len(won) == 1
    assert store.get(entry.id, "problem") == won[0]
