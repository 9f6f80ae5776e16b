"""Moving answers between caches: the same answers, the same bytes, all or nothing, every fault with its row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crowdllm.errors import Finding, StudyError
from crowdllm.llm.cache import CachedBackend, export_cache, import_cache
from crowdllm.llm.cache_exchange import Imported
from crowdllm.llm.protocol import Prompt, Request, Sampling
from crowdllm.llm.scripted import ScriptedBackend

HOSTILE = "\x00\x1b\n\r\u2028\ufeff'\"\\é😀"
PROMPTS = [Prompt("a", "A?", system="Be brief."), Prompt("b", HOSTILE, answers=("1", HOSTILE))]


class Scored(ScriptedBackend):
    """A scripted LLM that also gives distributions."""

    def ask(self, requests: Any, sampling: Sampling) -> Any:
        from crowdllm.llm.protocol import Answer

        if sampling.scores:
            return iter([Answer(request.prompt, (), (), (0.1, 0.9), 1 / 3) for request in requests])
        return super().ask(requests, sampling)


def fill(path: Path) -> CachedBackend:
    backend = CachedBackend(Scored(lambda prompt, k: f"{prompt.text}{k}"), path)
    list(backend.ask([Request(prompt, (0, 2)) for prompt in PROMPTS], Sampling(0.5)))
    list(backend.ask([Request(PROMPTS[1])], Sampling(scores=True)))
    return backend


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    fill(tmp_path / "c.sqlite").close()
    export_cache(tmp_path / "c.sqlite", tmp_path / "out.jsonl")
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def refused(path: Path, rows: list[Any] | bytes) -> list[Finding]:
    """What is found wrong; and nothing was added."""
    file = path / "in.jsonl"
    file.write_bytes(rows) if isinstance(rows, bytes) else write(file, rows)
    with pytest.raises(StudyError) as caught:
        import_cache(path / "new.sqlite", file)
    assert export_cache(path / "new.sqlite", path / "none.jsonl") == 0
    return caught.value.findings


def test_an_exported_cache_answers_the_same_elsewhere(tmp_path: Path) -> None:
    fill(tmp_path / "c.sqlite").close()
    assert export_cache(tmp_path / "c.sqlite", tmp_path / "out.jsonl") == 5
    assert import_cache(tmp_path / "d.sqlite", tmp_path / "out.jsonl") == Imported(5, 0)
    other = CachedBackend(Scored(lambda prompt, k: "never asked"), tmp_path / "d.sqlite")
    answers = list(other.ask([Request(prompt, (0, 2)) for prompt in PROMPTS], Sampling(0.5)))
    assert [a.texts for a in answers] == [("A?0", "A?2"), (f"{HOSTILE}0", f"{HOSTILE}2")]
    (scored,) = other.ask([Request(PROMPTS[1])], Sampling(scores=True))
    assert (scored.shares, scored.unseen) == ((0.1, 0.9), 1 / 3)
    assert other.misses == 0


def test_the_same_answers_give_the_same_bytes(tmp_path: Path) -> None:
    fill(tmp_path / "c.sqlite").close()
    export_cache(tmp_path / "c.sqlite", tmp_path / "1.jsonl")
    backend = CachedBackend(Scored(lambda prompt, k: f"{prompt.text}{k}"), tmp_path / "d.sqlite")
    list(backend.ask([Request(PROMPTS[1])], Sampling(scores=True)))
    for prompt in reversed(PROMPTS):
        for k in (2, 0):
            list(backend.ask([Request(prompt, (k,))], Sampling(0.5)))
    export_cache(tmp_path / "d.sqlite", tmp_path / "2.jsonl")
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()


def test_what_the_cache_holds_already_is_counted_and_left(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    rows[0]["rows"] = 2
    write(tmp_path / "part.jsonl", rows[:3])
    assert import_cache(tmp_path / "d.sqlite", tmp_path / "part.jsonl") == Imported(2, 0)
    assert import_cache(tmp_path / "d.sqlite", tmp_path / "out.jsonl") == Imported(3, 2)
    assert import_cache(tmp_path / "d.sqlite", tmp_path / "out.jsonl") == Imported(0, 5)


def test_an_answer_that_differs_from_the_cache_s_is_refused(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    import_cache(tmp_path / "d.sqlite", tmp_path / "out.jsonl")
    for row in rows[1:]:
        if "answer" in row:
            row["answer"] += "!"
        else:
            row["shares"] = [0.2, 0.8]
    write(tmp_path / "other.jsonl", rows)
    with pytest.raises(StudyError) as caught:
        import_cache(tmp_path / "d.sqlite", tmp_path / "other.jsonl")
    assert [(f.file, f.row) for f in caught.value.findings] == [("other.jsonl", n) for n in range(2, 7)]
    assert "holds another answer" in caught.value.findings[0].message


def change(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda row: row.update({name: value})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (change("draw", -1), "draw"),
        (change("draw", 0.0), "draw"),
        (change("draw", True), "draw"),
        (change("draw", 2**40), "draw"),
        (change("answer", 3), "answer must be text"),
        (change("answer", None), "answer must be text"),
        (change("answer", "\ud800"), "answer must be text"),
        (change("text", ["x"]), "text must be text"),
        (change("identity", None), "identity must be text"),
        (change("answers", "12"), "list of texts"),
        (change("answers", [1]), "answers must be text"),
        (change("sampling", {}), "sampling must have exactly temperature, max_tokens, scores"),
        (change("sampling", {"temperature": "1", "max_tokens": 64, "scores": False}), "temperature must be like"),
        (change("sampling", {"temperature": 1, "max_tokens": 64.0, "scores": False}), "max_tokens must be like"),
        (change("sampling", {"temperature": 1, "max_tokens": 64, "scores": 0}), "scores must be like"),
        (change("key", "x"), "missing or unknown: 'key'"),
        (lambda row: row.pop("system"), "missing or unknown: 'system'"),
        (lambda row: row.pop("draw"), "missing or unknown: 'draw'"),
    ],
)
def test_a_row_that_is_wrong_is_named(
    tmp_path: Path, rows: list[dict[str, Any]], spoil: Callable[[dict[str, Any]], object], words: str
) -> None:
    place = next(i for i, row in enumerate(rows) if "answer" in row)
    spoil(rows[place])
    (finding, *_) = refused(tmp_path, rows)
    assert (finding.file, finding.row) == ("in.jsonl", place + 1)
    assert words in finding.message


@pytest.mark.parametrize(
    "spoil",
    [
        change("shares", [1.0]),
        change("shares", [0.5, 0.6]),
        change("shares", [-0.5, 1.5]),
        change("shares", ["0.5", 0.5]),
        change("shares", [True, False]),
        change("unseen", 2),
        change("unseen", None),
    ],
)
def test_shares_that_are_none_are_named(
    tmp_path: Path, rows: list[dict[str, Any]], spoil: Callable[[dict[str, Any]], object]
) -> None:
    place = next(i for i, row in enumerate(rows) if "shares" in row)
    spoil(rows[place])
    (finding,) = refused(tmp_path, rows)
    assert (finding.row, "shares" in finding.message) == (place + 1, True)


def test_every_wrong_row_is_named_at_once(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    doubled = [*rows, rows[1]]
    doubled[0]["rows"] = 6
    doubled[2] = {"nonsense": 1}
    assert [(f.row, f.message.split(":")[0]) for f in refused(tmp_path, doubled)] == [
        (3, "fields missing or unknown"),
        (7, "this answer stands in the file twice"),
    ]


@pytest.mark.parametrize(
    ("content", "row", "words"),
    [
        (b"", None, "empty file"),
        (b"\n", 1, "no JSON"),
        (b"problem,decision\na,1\n", 1, "no JSON"),
        (b"[1]\n", 1, "no JSON object"),
        (b'{"format": "other", "rows": 1, "version": 1}\n', 1, "no export of answers"),
        (b'{"format": "crowdllm llm answers", "rows": true, "version": 1}\n', 1, "no export of answers"),
        (b'{"format": "crowdllm llm answers", "rows": 0, "version": 2}\n', 1, "version 2"),
        (b'{"format": "crowdllm llm answers", "rows": 3, "version": 1}\n', 1, "promises 3: a part is missing"),
        (b'{"format": "crowdllm llm answers", "rows": 0, "version": 1}', 1, "no end"),
        (b'{"format": "crowdllm llm answers", "rows": 1, "version": 1}\n\xff\xfe\n', 2, "not UTF-8"),
        (b'{"format": "crowdllm llm answers", "rows": 1, "version": 1}\n{"a": 1, "a": 2}\n', 2, "stands twice"),
        (b'{"format": "crowdllm llm answers", "rows": 1, "version": 1}\n{"a": NaN}\n', 2, "NaN is no number"),
        (b'{"format": "crowdllm llm answers", "rows": 1, "version": 1}\n' + b"[" * 99999 + b"\n", 2, "too deep"),
        (b'{"format": "crowdllm llm answers", "rows": 1, "version": 1}\n' + b'"' * 9_000_000, 2, "8,000,000 bytes"),
    ],
)
def test_a_file_that_is_no_export_is_refused(tmp_path: Path, content: bytes, row: int | None, words: str) -> None:
    findings = refused(tmp_path, content)
    assert findings[0].row == row
    assert words in findings[0].message


def test_a_file_cut_short_is_refused(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    whole = (tmp_path / "out.jsonl").read_bytes()
    assert "no end" in refused(tmp_path, whole[:-20])[0].message
    assert "a part is missing" in refused(tmp_path, rows[:-1])[-1].message


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no such cache"):
        export_cache(tmp_path / "none.sqlite", tmp_path / "out.jsonl")
    assert not (tmp_path / "none.sqlite").exists()
    with pytest.raises(StudyError, match=r"none\.jsonl: cannot be read"):
        import_cache(tmp_path / "c.sqlite", tmp_path / "none.jsonl")
