"""What goes out comes in again the same, for all formats that can go both ways: studies drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.exporting import export
from crowdllm.exchange.importing import import_study
from crowdllm.exchange.protocol import Imported
from crowdllm.responses import ResponseType
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.ranking import Ranking

often = pytest.mark.parametrize("examples", [3, pytest.param(100, marks=pytest.mark.slow)])
seldom = pytest.mark.parametrize(
    "examples", [1, pytest.param(25, marks=pytest.mark.slow)]
)  # read in a process of its own
WORD = st.text(st.sampled_from("abcdeXYZ äß漢\"';,|=<>&{}"), min_size=1, max_size=12).map(lambda s: f"w {s.strip()} w")
COLUMNS = (ProfileColumn("mood", "categorical", ("bad, really", "fine")), ProfileColumn("income", "numeric"))
PROFILE = {"mood": {"use": "profile", "kind": "categorical"}, "income": {"use": "profile", "kind": "numeric"}}
Mapping = dict[str, Any]
Make = Callable[..., Any]


@st.composite
def studies(draw: st.DrawFn, kind: str, problems: int = 3) -> Study:
    """Three to six people, each answering some of the problems; every problem and person has an answer."""
    words = tuple(draw(st.lists(WORD, min_size=4, max_size=4, unique_by=lambda w: " ".join(w.casefold().split()))))
    words = tuple(" ".join(word.split()) for word in words)
    people = draw(st.integers(3, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale, values = _answers(kind, people * problems, rng, words)
    person, problem = np.repeat(np.arange(people), problems), np.tile(np.arange(problems), people)
    keep = rng.random(len(person)) < 0.7
    keep[:problems] = keep[::problems] = True
    texts = np.array([f"{' '.join(draw(WORD).split())} {t}?" for t in range(problems)], dtype=object)
    asked = Problems(
        np.array([f"q{t + 1}" for t in range(problems)], dtype=object),
        texts,
        (words,) * problems if scale.has_options else (),
    )
    mood = np.append([0.0, 1.0], rng.choice([0.0, 1.0, np.nan], people - 2))
    income = np.append([0.5, 1234.0, -7.25], rng.normal(0, 1000, people).round(2))[:people]
    ids = np.array([f"p{i + 1}" for i in range(people)], dtype=object)
    return Study(
        "Round trip", scale, asked, Profiles(COLUMNS, ids, np.stack([mood, income], axis=1)),
        Responses(person[keep], problem[keep], values[keep]),
        weights_N=rng.uniform(0.1, 9, people).round(3) if draw(st.booleans()) else None,
    )  # fmt: skip


def _answers(
    kind: str, count: int, rng: np.random.Generator, words: tuple[str, ...]
) -> tuple[ResponseType, np.ndarray[Any, Any]]:
    rank = np.argsort(np.argsort(rng.random((count, 4)), axis=1), axis=1)
    if kind == "ordinal":
        return Ordinal(words), rng.integers(0, 4, (count, 1)).astype(float)
    if kind == "rating":
        return Ordinal(("1", "2", "3", "4", "5")), rng.integers(0, 5, (count, 1)).astype(float)
    if kind == "continuous":
        return Continuous(), rng.normal(0, 50, (count, 1)).round(3)
    if kind == "choice":
        return Choice(4), rng.integers(0, 4, (count, 1)).astype(float)
    if kind == "ballot":
        return Ballot(1, 3, 4), (rank < rng.integers(1, 4, (count, 1))).astype(float)
    if kind == "ranking":
        return Ranking(2, 4), np.where(rank < 2, 2.0 - rank, 0.0)
    return Points(10, 1, 4), rng.multinomial(10, [0.25] * 4, count).astype(float)


def there_and_back(study: Study, to: str, suffix: str, mapping: Mapping, table: str = "responses") -> Imported:
    with TemporaryDirectory() as folder:
        done = export(study, to, Path(folder) / f"out{suffix}", table)
        return import_study(done.files, "", mapping)


def told(study: Study, options: bool = False) -> dict[tuple[int, str], tuple[Any, ...]]:
    """(position of the person, text of the problem) -> the answer: level or option in words, or the row of numbers."""
    out = {}
    kind, answers = study.response_type, study.responses
    order = {i: n for n, i in enumerate(dict.fromkeys(answers.participant_R.tolist()))} if options else None
    for i, t, value in zip(answers.participant_R.tolist(), answers.problem_R.tolist(), answers.values_RD, strict=True):
        if isinstance(kind, Ordinal):
            answer: tuple[Any, ...] = (kind.levels[int(value[0])],)
        elif isinstance(kind, Choice) and not options:
            answer = (study.problems.options[t][int(value[0])],)
        else:
            answer = tuple(value.tolist())
        out[order[i] if order else i, str(study.problems.texts[t])] = answer
    return out


def assert_same_people(back: Study, study: Study) -> None:
    place = {str(identity): n for n, identity in enumerate(back.profiles.ids)}
    rows = [place[str(identity)] for identity in study.profiles.ids]
    frame, expected = back.profiles.to_frame(), study.profiles.to_frame()
    names = {column.label or column.name: column.name for column in back.profiles.columns}
    mood = frame[names["mood"]].to_numpy(dtype=object)[rows]
    assert [None if m != m else m for m in mood] == [None if m != m else m for m in expected["mood"]]
    np.testing.assert_array_equal(frame[names["income"]].to_numpy(dtype=float)[rows], expected["income"])
    if study.weights_N is None:
        assert back.weights_N is None
    else:
        assert back.weights_N is not None
        np.testing.assert_array_equal(back.weights_N[rows], study.weights_N)


def some(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(("to", "suffix"), [("csv", ".csv"), ("excel", ".xlsx")])
@often
@pytest.mark.parametrize("kind", ["ordinal", "rating", "continuous", "choice"])
def test_long_tables(kind: str, to: str, suffix: str, examples: int) -> None:
    @some(examples)
    @given(studies(kind))
    def check(study: Study) -> None:
        answer: Mapping = {"use": "problem", "type": study.response_type.kind}
        if isinstance(study.response_type, Ordinal):
            answer["levels"] = list(study.response_type.levels)
        mapping = {"columns": {**PROFILE, "response": answer}}
        mapping |= {"weight": "weight"} if study.weights_N is not None else {}
        back = there_and_back(study, to, suffix, mapping).study
        assert told(back) == told(study)
        assert back.response_type.kind == study.response_type.kind
        assert_same_people(back, study)

    check()


@pytest.mark.parametrize("suffix", [".sav", ".dta"])
@seldom
@pytest.mark.parametrize("kind", ["ordinal", "rating", "continuous", "choice"])
def test_labelled_files(kind: str, suffix: str, examples: int) -> None:
    @some(examples)
    @given(studies(kind))
    def check(study: Study) -> None:
        answer: Mapping = {"use": "problem", "type": study.response_type.kind}
        columns = {**PROFILE, **{f"q{t + 1}": answer for t in range(3)}, "simulated": {"use": "skip"}}
        mapping: Mapping = {"columns": columns}
        mapping |= {"weight": "weight"} if study.weights_N is not None else {}
        back = there_and_back(study, "", suffix, mapping).study
        assert told(back) == told(study)
        assert back.response_type.kind == study.response_type.kind
        assert_same_people(back, study)

    check()


@often
@pytest.mark.parametrize("kind", ["choice", "ballot", "ranking", "points"])
def test_pabulib_files(kind: str, examples: int) -> None:
    @some(examples)
    @given(studies(kind, problems=1))
    def check(study: Study) -> None:
        back = there_and_back(study, "", ".pb", {}).study
        assert back.response_type.kind == study.response_type.kind
        theirs, ours = (list(told(s, options=True).values()) for s in (back, study))
        assert theirs == ours
        for there, here in zip(back.problems.options[0], study.problems.options[0], strict=True):
            assert there.startswith(here)

    check()


@often
@pytest.mark.parametrize("kind", ["rating", "continuous", "choice", "ballot"])
def test_label_studio_annotations(kind: str, examples: int) -> None:
    @some(examples)
    @given(studies(kind))
    def check(study: Study) -> None:
        back = there_and_back(replace(study, weights_N=None), "", ".json", {}).study
        assert back.response_type.kind == study.response_type.kind
        ours, theirs = told(study, options=True), told(back, options=True)
        assert sorted(theirs.values()) == sorted(ours.values())
        assert {text for _, text in theirs} == {text for _, text in ours}

    check()


@often
@pytest.mark.parametrize("kind", ["rating", "choice"])
def test_crowd_kit_frames(kind: str, examples: int) -> None:
    @some(examples)
    @given(studies(kind))
    def check(study: Study) -> None:
        answer: Mapping = {"use": "problem", "type": study.response_type.kind}
        back = there_and_back(study, "crowdkit", ".csv", {"columns": {"label": answer}}).study
        names = dict(zip(study.problems.ids, study.problems.texts, strict=True))
        found = {(i, names[problem]): value for (i, problem), value in told(back).items()}
        assert found == told(study)

    check()


def test_a_writer_and_a_reader_of_one_tool_have_the_same_name() -> None:
    from crowdllm.exchange import READERS, WRITERS

    one_way = {"parquet", "simbench"}
    assert set(WRITERS) - one_way <= set(READERS)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".sav", ".dta", ".pb"])
def test_simulated_answers_do_not_come_in_as_peoples(suffix: str, make_known: Make, tmp_path: Path) -> None:
    study = make_known("ballot" if suffix == ".pb" else "ordinal", people=6, problems=1).study
    crowd = replace(study, simulated=True, source=("Model 0123456789abcdef, seed 9.",))
    done = export(crowd, "", tmp_path / f"out{suffix}")
    with pytest.raises(CrowdLLMError, match="6 of its rows are marked as simulated"):
        import_study(done.files)
