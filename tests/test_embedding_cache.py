"""Kept vectors: found again by the same model only, without the text, by several processes, and never in the way."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crowdllm.embedding import sentences, vector_cache
from crowdllm.embedding.vector_cache import VARIABLE, VectorCache, cache_file, model_identity


def vector(number: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.full((3, 4), number, dtype=np.float32)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "kept" / "vectors.sqlite"))
    return tmp_path / "kept" / "vectors.sqlite"


def test_what_is_kept_is_found_again_and_nothing_else(file: Path) -> None:
    cache = VectorCache(file, "a model", "mean", 3)
    cache.put({"one": vector(1), "two": vector(2)})
    found = VectorCache(file, "a model", "mean", 3).get(["two", "three", "one"])
    assert sorted(found) == ["one", "two"]
    np.testing.assert_array_equal(found["two"], vector(2))


@pytest.mark.parametrize(("identity", "reading"), [("another model", "mean"), ("a model", "first token")])
def test_another_model_or_reading_finds_nothing(file: Path, identity: str, reading: str) -> None:
    VectorCache(file, "a model", "mean", 3).put({"one": vector(1)})
    assert VectorCache(file, identity, reading, 3).get(["one"]) == {}


def test_the_first_vector_of_a_text_stays(file: Path) -> None:
    cache = VectorCache(file, "a model", "mean", 3)
    cache.put({"one": vector(1)})
    cache.put({"one": vector(2)})
    np.testing.assert_array_equal(cache.get(["one"])["one"], vector(1))


def test_more_texts_than_fit_one_question_are_found(file: Path) -> None:
    cache = VectorCache(file, "a model", "mean", 3)
    texts = [f"text {i}" for i in range(1201)]
    cache.put({text: vector(i) for i, text in enumerate(texts)})
    found = cache.get(texts)
    assert [float(found[text][0, 0]) for text in texts] == list(range(1201))


def test_the_file_holds_no_text(file: Path) -> None:
    VectorCache(file, "a model", "mean", 3).put({"a secret sentence": vector(1)})
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    stored = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert len(stored) > 1000
    assert b"secret" not in stored


def test_a_vector_of_the_wrong_length_is_not_believed(file: Path) -> None:
    cache = VectorCache(file, "a model", "mean", 3)
    cache.put({"one": vector(1)})
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE vectors SET vector = ?", (b"12345",))
    assert cache.get(["one"]) == {}


def test_the_cache_can_be_moved_and_switched_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine.sqlite"))
    assert cache_file() == tmp_path / "mine.sqlite"
    monkeypatch.setenv(VARIABLE, "Off")
    assert cache_file() is None
    monkeypatch.delenv(VARIABLE)
    assert str(cache_file()).endswith("embeddings.sqlite")
    nowhere = VectorCache(None, "a model", "mean", 3)
    nowhere.put({"one": vector(1)})
    assert nowhere.get(["one"]) == {}


@pytest.mark.parametrize("content", [b"no database at all, but a text that is long enough to be one" * 20, None])
def test_a_file_that_cannot_be_used_is_warned_about_once(
    tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_cache, "_warned", set())
    place = tmp_path / "taken"
    if content is None:  # a folder stands where the file should
        place.mkdir()
    else:
        place.write_bytes(content)
    cache = VectorCache(place, "a model", "mean", 3)
    with pytest.warns(RuntimeWarning, match=r"embedding cache .*taken cannot be used .* or to off"):
        cache.put({"one": vector(1)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.get(["one"]) == {}


KEEP_MANY = """
import sys
from pathlib import Path
import numpy as np
from crowdllm.embedding.vector_cache import VectorCache
start = int(sys.argv[2])
cache = VectorCache(Path(sys.argv[1]), "a model", "mean", 3)
for i in range(start, start + 40):
    cache.put({f"text {i}": np.full((3, 4), float(i), dtype=np.float32)})
"""


def test_several_processes_write_at_once(file: Path) -> None:
    running = [subprocess.Popen([sys.executable, "-c", KEEP_MANY, str(file), str(start)]) for start in (0, 20, 40)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    found = VectorCache(file, "a model", "mean", 3).get([f"text {i}" for i in range(80)])
    assert [float(found[f"text {i}"][0, 0]) for i in range(80)] == list(range(80))


# --- whose vectors ------------------------------------------------------------------------------------------


def test_a_folder_is_another_model_when_a_file_in_it_changes(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "config.json").write_text("{1}")
    first = model_identity(str(tmp_path))
    assert model_identity(str(tmp_path)) == first
    (tmp_path / "sub" / "config.json").write_text("{2}")  # the same size
    second = model_identity(str(tmp_path))
    (tmp_path / "sub" / "config.json").rename(tmp_path / "config.json")
    third = model_identity(str(tmp_path))
    assert len({first, second, third}) == 3


def test_a_large_file_is_told_by_its_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr(vector_cache, "HASHED_WHOLE", 3)
    (tmp_path / "weights").write_bytes(b"12345")
    os.utime(tmp_path / "weights", ns=(1, 1))
    first = model_identity(str(tmp_path))
    os.utime(tmp_path / "weights", ns=(1, 2))
    assert model_identity(str(tmp_path)) != first


def test_a_model_of_the_hub_is_told_by_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="pip install 'crowdllm[embed]'")

    def found(repository: str, name: str) -> str | None:
        return f"/hub/snapshots/{commit}/{name}" if repository == "sentence-transformers/some-model" else None

    monkeypatch.setattr(hub, "try_to_load_from_cache", found)
    commit = "aaa"
    first = model_identity("some-model")
    commit = "bbb"
    assert first is not None
    assert first != model_identity("some-model")
    assert model_identity("another-model") is None


# --- as the embedder uses it --------------------------------------------------------------------------------


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A made-up model in a folder, which notes the texts it reads and how often it was loaded."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("1")
    seen = SimpleNamespace(texts=[], loads=0, folder=folder)

    def load(name: str) -> str:
        seen.loads += 1
        return name

    def encode(model: Any, text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        seen.texts.append(text)
        return vector(len(text) + len((folder / "config.json").read_text()))

    monkeypatch.setattr(sentences, "_load", load)
    monkeypatch.setattr(sentences, "_encode", encode)
    return seen


def test_a_text_goes_through_a_model_once_on_a_machine(file: Path, read: SimpleNamespace) -> None:
    first = sentences._Model(str(read.folder)).hidden(["one", "three", "one"])
    again = sentences._Model(str(read.folder))  # as in another process
    np.testing.assert_array_equal(again.hidden(["one", "three", "one"]), first)
    assert (read.texts, read.loads) == (["one", "three"], 1)
    again.hidden(["three", "seven"])
    assert (read.texts, read.loads) == (["one", "three", "seven"], 2)


def test_when_switched_off_every_process_reads_anew(read: SimpleNamespace) -> None:
    for _ in range(2):
        sentences._Model(str(read.folder)).hidden(["one"])
    assert read.texts == ["one", "one"]


def test_vectors_of_the_version_before_are_dropped_when_loading_brings_another(
    file: Path, read: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 = len("one") + 1 is the old version's vector, 5 the new one's."""
    sentences._Model(str(read.folder)).hidden(["one"])

    def load(name: str) -> str:
        (read.folder / "config.json").write_text("22")
        return name

    monkeypatch.setattr(sentences, "_load", load)
    model = sentences._Model(str(read.folder))
    assert model.hidden(["one"])[0, 0, 0] == 4
    np.testing.assert_array_equal(model.hidden(["one", "seven"])[:, 0, 0], [5, 7])
