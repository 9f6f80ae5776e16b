"""The cache: what was answered is given again, what is missing is asked once, failures are tried again."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from crowdllm.llm.cache import CachedBackend, CacheError
from crowdllm.llm.cache_store import APPLICATION
from crowdllm.llm.protocol import Answer, Prompt, Request, Sampling, Usage
from crowdllm.llm.scripted import ScriptedBackend

A, B = Prompt("a", "A?"), Prompt("b", "B?")
SCALE = Prompt("s", "How?", answers=("1", "2"))


@dataclass
class Counting:
    """Answers "<text of the prompt><draw>" and notes what it was asked; fails where `fails` says so."""

    identity: str = "counting"
    name: str = "counting"
    scores: bool = True
    asked: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    fails: Callable[[Prompt], bool] = lambda prompt: False

    def ask(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Answer]:
        for request in requests:
            prompt, draws = request.prompt, request.draws
            self.asked.append((prompt.problem_id, draws))
            if self.fails(prompt):
                yield Answer(prompt, draws, failure="no luck", usage=Usage(1, 10, 0))
            elif sampling.scores:
                yield Answer(prompt, (), (), (0.25, 0.75), 0.125, usage=Usage(1, 10, 0))
            else:
                yield Answer(prompt, draws, tuple(f"{prompt.text}{k}" for k in draws), usage=Usage(1, 10, 5))


def ask(backend: CachedBackend, *requests: Request, **sampling: Any) -> list[Answer]:
    return list(backend.ask(requests, Sampling(**sampling)))


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    inner = Counting()
    first = CachedBackend(inner, tmp_path / "c.sqlite")
    assert [a.texts for a in ask(first, Request(A, (0, 1)), Request(B, (0,)))] == [("A?0", "A?1"), ("B?0",)]
    assert (first.hits, first.misses) == (0, 3)
    first.close()
    again = CachedBackend(inner, tmp_path / "c.sqlite")
    answers = ask(again, Request(A, (0, 1)), Request(B, (0,)))
    assert [(a.prompt, a.draws, a.texts) for a in answers] == [(A, (0, 1), ("A?0", "A?1")), (B, (0,), ("B?0",))]
    assert all(a.usage == Usage() for a in answers)  # it costs nothing now
    assert (again.hits, again.misses) == (3, 0)
    assert len(inner.asked) == 2


def test_only_what_is_missing_is_asked(tmp_path: Path) -> None:
    inner = Counting()
    backend = CachedBackend(inner, tmp_path / "c.sqlite")
    ask(backend, Request(A, (1, 3)))
    wanted = [Request(A, (0, 1, 2, 3)), Request(B, (0,))]
    assert backend.missing(wanted, Sampling()) == [Request(A, (0, 2)), Request(B, (0,))]
    assert len(inner.asked) == 1  # to know that, nothing was asked
    answers = ask(backend, *wanted)
    assert inner.asked[1:] == [("a", (0, 2)), ("b", (0,))]
    assert sorted((a.prompt.problem_id, k, t) for a in answers for k, t in zip(a.draws, a.texts, strict=True)) == [
        ("a", 0, "A?0"),
        ("a", 1, "A?1"),
        ("a", 2, "A?2"),
        ("a", 3, "A?3"),
        ("b", 0, "B?0"),
    ]


@pytest.mark.parametrize(
    ("prompt", "sampling"),
    [
        (replace(A, text="A? "), Sampling()),
        (replace(A, system="x"), Sampling()),
        (replace(A, answers=("1",)), Sampling()),
        (A, Sampling(temperature=0.5)),
        (A, Sampling(max_tokens=65)),
    ],
)
def test_another_question_has_other_answers(tmp_path: Path, prompt: Prompt, sampling: Sampling) -> None:
    inner = Counting()
    backend = CachedBackend(inner, tmp_path / "c.sqlite")
    ask(backend, Request(A))
    list(backend.ask([Request(prompt)], sampling))
    assert len(inner.asked) == 2


def test_the_same_question_has_the_same_answers_whoever_asks(tmp_path: Path) -> None:
    inner = Counting()
    backend = CachedBackend(inner, tmp_path / "c.sqlite")
    ask(backend, Request(A), temperature=1)
    ask(backend, Request(replace(A, problem_id="other", options=("x",))), temperature=1.0)
    assert len(inner.asked) == 1
    ask(CachedBackend(replace(inner, identity="another LLM"), tmp_path / "c.sqlite"), Request(A))
    assert len(inner.asked) == 2


def test_problems_worded_alike_are_asked_once(tmp_path: Path) -> None:
    inner = Counting()
    backend = CachedBackend(inner, tmp_path / "c.sqlite")
    twin, third = replace(A, problem_id="twin"), replace(A, problem_id="third")
    answers = ask(backend, Request(A, (0, 1)), Request(twin, (1, 2)), Request(third, (0,)))
    assert inner.asked == [("a", (0, 1, 2))]
    by_id = {a.prompt.problem_id: a for a in answers}
    assert (by_id["twin"].draws, by_id["twin"].texts, by_id["twin"].usage) == ((1, 2), ("A?1", "A?2"), Usage())
    assert (by_id["third"].draws, by_id["third"].texts) == ((0,), ("A?0",))
    again = ask(backend, Request(A, (0, 1)), Request(twin, (1, 2)))
    assert [(a.prompt, a.draws) for a in again] == [(A, (0, 1)), (twin, (1, 2))]
    scored = list(backend.ask([Request(SCALE), Request(replace(SCALE, problem_id="t"))], Sampling(scores=True)))
    assert [(a.prompt.problem_id, a.shares) for a in scored] == [("s", (0.25, 0.75)), ("t", (0.25, 0.75))]


def test_a_twin_s_draws_that_its_asker_does_not_want_are_its_own(tmp_path: Path) -> None:
    backend = CachedBackend(Counting(), tmp_path / "c.sqlite")
    answers = ask(backend, Request(A, (0,)), Request(replace(A, problem_id="twin"), (5,)))
    draws = {a.prompt.problem_id: a.draws for a in answers}
    assert draws == {"a": (0,), "twin": (5,)}


def test_failures_are_handed_on_and_tried_again(tmp_path: Path) -> None:
    inner = Counting(fails=lambda prompt: prompt == A)
    backend = CachedBackend(inner, tmp_path / "c.sqlite")
    answers = ask(backend, Request(A, (0, 1)), Request(replace(A, problem_id="twin"), (1,)), Request(B))
    assert [(a.prompt.problem_id, a.draws, a.failure) for a in answers] == [
        ("a", (0, 1), "no luck"),
        ("twin", (1,), "no luck"),
        ("b", (0,), ""),
    ]
    inner.fails = lambda prompt: False
    assert [a.texts for a in ask(backend, Request(A, (0, 1)))] == [("A?0", "A?1")]


def test_distributions_are_kept_apart_from_texts(tmp_path: Path) -> None:
    inner = Counting()
    backend = CachedBackend(inner, tmp_path / "c.sqlite")
    for _ in range(2):
        (answer,) = backend.ask([Request(SCALE)], Sampling(scores=True))
        assert (answer.draws, answer.texts, answer.shares, answer.unseen) == ((), (), (0.25, 0.75), 0.125)
    assert (backend.hits, backend.misses, len(inner.asked)) == (1, 1, 1)
    assert ask(backend, Request(SCALE))[0].texts == ("How?0",)


def test_whether_there_are_distributions_needs_no_server_once_some_are_kept(tmp_path: Path) -> None:
    class Away(Counting):
        @property
        def scores(self) -> bool:
            raise ConnectionError("no server")

        @scores.setter
        def scores(self, value: bool) -> None:
            pass

    path = tmp_path / "c.sqlite"
    with pytest.raises(ConnectionError):
        _ = CachedBackend(Away(), path).scores
    list(CachedBackend(Counting(), path).ask([Request(SCALE)], Sampling(scores=True)))
    away = CachedBackend(Away(), path)
    assert away.scores
    assert [a.shares for a in away.ask([Request(SCALE)], Sampling(scores=True))] == [(0.25, 0.75)]


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\x1b[2J", "'); DROP TABLE texts;--", "\ud800", "é\u202e", ""])
def test_hostile_answers_are_kept_as_they_are(tmp_path: Path, text: str) -> None:
    backend = CachedBackend(ScriptedBackend(lambda prompt, k: text), tmp_path / "c.sqlite")
    hostile = Prompt("p", text, system=text, answers=(text,))
    first, second = ask(backend, Request(hostile)), ask(backend, Request(hostile))
    assert first[0].texts == second[0].texts == (text.replace("\ud800", "\ufffd"),)
    assert second[0].prompt is hostile


def test_every_answer_is_committed_before_it_is_handed_on(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    backend = CachedBackend(Counting(), path)
    for count, _ in enumerate(backend.ask([Request(A), Request(B)], Sampling()), start=1):
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT count(*) FROM texts").fetchone() == (count,)


def test_the_first_of_two_processes_is_right(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    slow = CachedBackend(ScriptedBackend(lambda prompt, k: "slow"), path)
    quick = CachedBackend(ScriptedBackend(lambda prompt, k: "quick"), path)
    answers = slow.ask([Request(B), Request(A)], Sampling())
    next(answers)  # A is known to be missing by now
    assert ask(quick, Request(A))[0].texts == ("quick",)
    assert next(answers).texts == ("quick",)


def work(path: str, number: int) -> None:
    backend = CachedBackend(ScriptedBackend(lambda prompt, k: f"{number}"), path)
    for i in range(60):
        list(backend.ask([Request(Prompt("p", f"{number if i % 2 else 'same'} {i}"), (0, 1))], Sampling()))


def test_several_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(str(path), number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM texts").fetchone() == (2 * (30 + 4 * 30),)


def test_a_backend_may_have_no_answer(tmp_path: Path) -> None:
    backend = CachedBackend(ScriptedBackend({"a": ["1"]}), tmp_path / "c.sqlite")
    assert [(a.draws, a.texts) for a in ask(backend, Request(A, (0, 1)), Request(B))] == [((0,), ("1",)), ((), ())]
    assert backend.missing([Request(A, (0, 1)), Request(B)], Sampling()) == [Request(A, (1,)), Request(B)]


def write_foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")


def write_newer(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.executescript(f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = 99; CREATE TABLE t (x)")


def write_broken(path: Path) -> None:
    CachedBackend(Counting(), path).close()
    content = bytearray(path.read_bytes())
    content[100:] = b"\xa5" * (len(content) - 100)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (write_foreign, "a database of another program"),
        (write_newer, "from a newer crowdllm"),
        (write_broken, "cannot be used"),
        (lambda path: path.write_bytes(b"problem,decision\na,1\n" * 100), "cannot be used: file is not a database"),
        (lambda path: path.mkdir(), "is a folder"),
    ],
)
def test_a_file_that_is_no_cache_is_told_and_left_alone(
    tmp_path: Path, prepare: Callable[[Path], object], words: str
) -> None:
    path = tmp_path / "c.sqlite"
    prepare(path)
    before = None if path.is_dir() else path.read_bytes()
    with pytest.raises(CacheError, match=words):
        ask(CachedBackend(Counting(), path), Request(A))
    assert before is None or path.read_bytes() == before


def test_a_file_that_breaks_later_is_told(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    backend = CachedBackend(Counting(), path)
    ask(backend, *(Request(Prompt("p", f"{i} " + "x" * 2000)) for i in range(50)))
    backend.close()
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = b"\xa5" * (len(content) - 3 * 4096)
    path.write_bytes(content)
    damaged = CachedBackend(Counting(), path)
    with pytest.raises(CacheError, match="an export of it can be imported"):
        ask(damaged, *(Request(Prompt("p", f"{i} " + "x" * 2000)) for i in range(50)))


def test_an_empty_file_and_a_new_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "empty.sqlite").touch()
    for path in (tmp_path / "empty.sqlite", tmp_path / "new" / "folder" / "c.sqlite"):
        assert ask(CachedBackend(Counting(), path), Request(A))[0].texts == ("A?0",)


def test_a_place_that_cannot_be_written_is_told() -> None:
    with pytest.raises(CacheError, match=r"/dev/null/c\.sqlite cannot be used"):
        CachedBackend(Counting(), "/dev/null/c.sqlite")
