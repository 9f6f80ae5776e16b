"""A study saved as a folder comes back the same, for every response type, and so do its DataFrames."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.data.study_folder import load_study, save_study, study_from_frames
from crowdllm.errors import StudyError
from crowdllm.responses import ResponseType
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.ranking import Ranking

Make = Callable[..., Path]
NASTY = [
    "=1+1",
    "a,b;c\td|e",
    'say "hi"\r\nthen\rgo\n',
    " blanks ",
    "ünï 漢 😀 \u2028",
    "\x00\x1b[31m[red]",
    "-5",
    "@x",
]
OPTIONS = (
    ("yes", "no"),
    ("a|b", "[c", "12"),
    (" lead", "x=1", "y;z,w"),
    ("#1", "#x"),
    ("one", "two", "three"),
)


def same(a: Study, b: Study) -> None:
    assert (a.title, a.context, a.requirements) == (b.title, b.context, b.requirements)
    assert (a.source, a.simulated, a.response_type) == (b.source, b.simulated, b.response_type)
    assert a.problems.ids.tolist() == b.problems.ids.tolist()
    assert a.problems.texts.tolist() == b.problems.texts.tolist()
    assert a.problems.options == b.problems.options
    pd.testing.assert_frame_equal(a.problems.attributes, b.problems.attributes, check_column_type=False)
    assert a.profiles.columns == b.profiles.columns
    assert a.profiles.ids.tolist() == b.profiles.ids.tolist()
    assert a.profiles.values_NC.tobytes() == b.profiles.values_NC.tobytes()
    assert a.responses.participant_R.tolist() == b.responses.participant_R.tolist()
    assert a.responses.problem_R.tolist() == b.responses.problem_R.tolist()
    assert a.responses.values_RD.shape == b.responses.values_RD.shape
    assert a.responses.values_RD.tobytes() == b.responses.values_RD.tobytes()


def study(kind: ResponseType, values: list[list[float]], options: tuple[tuple[str, ...], ...] = OPTIONS) -> Study:
    """Five problems and as many people as responses; person i answers problem i (and so on)."""
    words = (NASTY * 2)[: 5 * 2]
    attributes = pd.DataFrame({"topic": words[:5], "keyed": ["1", "-1", "", "1.50", "NA"]}, dtype=object)
    ids = np.array(["q 1", "Q1", "007", "=2", "ü"], dtype=object)
    problems = Problems(ids, np.array(words[5:], dtype=object), options if kind.has_options else (), attributes)
    count = len(values)
    columns = (
        ProfileColumn("age group", "ordinal", ("18-24", "25+", "[x]"), "age"),
        ProfileColumn("town", "categorical", ("", "x", "None", " x", 'q"uote', "neu\nline")[1:]),
        ProfileColumn("income", "numeric"),
    )
    rng = np.random.default_rng(0)
    numbers = np.array([0.1, -0.0, 1 / 3, 1e300, 5e-324, np.nan, 12.0, 2.0**60])[np.arange(count) % 8]
    levels = np.stack([rng.integers(0, 3, count), rng.integers(0, 5, count)], axis=1).astype(float)
    levels[0] = np.nan
    people = np.array([f"p{i}" for i in range(count)], dtype=object)
    profiles = Profiles(columns, people, np.column_stack([levels, numbers]))
    responses = Responses(
        np.arange(count)[::-1].copy(), np.arange(count, dtype=np.int64) % 5, np.array(values, dtype=float)
    )
    return Study("T [red]", kind, problems, profiles, responses, 'C\n"x"', "R\\", ("s1 é", "s2"), simulated=True)


STUDIES = {
    "ordinal": study(Ordinal(("never", "3", "7.5"), (1, 2, 7), ("low", "high\n")), [[0], [1], [2], [2], [0]]),
    "continuous": study(Continuous(-1, 1e6), [[0.1], [-0.0], [1 / 3], [5e-324], [123456.789], [0.0]]),
    "continuous_unit": study(Continuous(None, 1, 0.25, 0.125), [[-1e300], [1]]),
    "choice": study(Choice(3), [[1], [0], [2], [0], [2], [0], [1], [1], [1]]),
    "ballot": study(Ballot(0, 2, 3), [[1, 1, 0], [0, 0, 0], [0, 1, 1], [0, 1, 0], [0, 0, 1]]),
    "points": study(Points(10, 2, 3), [[4, 6, 0], [10, 0, 0], [2, 2, 6], [0, 10, 0], [0, 0, 10]]),
    "ranking": study(Ranking(2, 3), [[2, 1, 0], [0, 1, 2], [1, 0, 2], [1, 2, 0], [2, 0, 1]]),
    "same_options": study(Choice(3), [[2], [0], [1], [1], [0]], (("a|b", " c", "3"),) * 5),
}


@pytest.mark.parametrize("name", STUDIES)
def test_every_response_type_survives_saving_and_loading(tmp_path: Path, name: str) -> None:
    save_study(STUDIES[name], tmp_path / "s")
    same(load_study(tmp_path / "s"), STUDIES[name])


@pytest.mark.parametrize("name", STUDIES)
def test_saving_what_was_loaded_writes_the_same_bytes(tmp_path: Path, name: str) -> None:
    save_study(STUDIES[name], tmp_path / "a")
    save_study(load_study(tmp_path / "a"), tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / path.name).read_bytes() == path.read_bytes()


def test_a_part_of_a_study_keeps_the_width_of_the_whole(tmp_path: Path) -> None:
    part = STUDIES["ballot"].subset(np.array([0, 3]), np.arange(5))
    assert part.problems.option_counts.max() == 2
    save_study(part, tmp_path)
    same(load_study(tmp_path), part)


def test_people_and_problems_without_responses_and_without_profile_survive(tmp_path: Path) -> None:
    whole = STUDIES["choice"]
    empty = Profiles((), whole.profiles.ids, np.zeros((len(whole.profiles), 0)))
    bare = replace(whole, profiles=empty, responses=whole.responses.take(np.zeros(0, dtype=np.int64)))
    save_study(bare, tmp_path)
    same(load_study(tmp_path), bare)


def test_attributes_and_profile_columns_named_like_a_role_survive(tmp_path: Path) -> None:
    whole = STUDIES["same_options"]
    names = ["problem", "text", "options", "response", "task", "id"]
    attributes = pd.DataFrame({name: [f"{name}{i}" for i in range(5)] for name in names}, dtype=object)
    columns = (ProfileColumn("participant", "numeric"), ProfileColumn("worker", "numeric"))
    profiles = Profiles(columns, whole.profiles.ids, np.arange(10.0).reshape(5, 2))
    odd = replace(whole, problems=replace(whole.problems, attributes=attributes), profiles=profiles)
    save_study(odd, tmp_path)
    same(load_study(tmp_path), odd)


def test_an_empty_ballot_is_told_from_a_question_not_answered(tmp_path: Path) -> None:
    save_study(replace(STUDIES["ballot"], simulated=False), tmp_path)
    rows = (tmp_path / "responses.csv").read_text().splitlines()
    assert rows[2].endswith(",Q1,|")
    assert rows[1].endswith(",q 1,#1|#2")


def test_every_row_of_a_simulated_study_says_so_and_no_row_of_another(tmp_path: Path) -> None:
    simulated = replace(STUDIES["ballot"], simulated=True)
    save_study(simulated, tmp_path / "simulated")
    header, *rows = (tmp_path / "simulated" / "responses.csv").read_text().splitlines()
    assert header.endswith(",simulated")
    assert rows
    assert all(row.endswith(",True") for row in rows)
    same(load_study(tmp_path / "simulated"), simulated)
    save_study(replace(simulated, simulated=False), tmp_path / "human")
    assert "simulated" not in (tmp_path / "human" / "responses.csv").read_text()


def test_saving_leaves_no_other_file_and_replaces_an_older_study(tmp_path: Path) -> None:
    save_study(STUDIES["choice"], tmp_path)
    save_study(STUDIES["points"], tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "participants.csv",
        "problems.csv",
        "responses.csv",
        "study.toml",
    ]
    same(load_study(tmp_path), STUDIES["points"])


def test_saving_beside_parquet_tables_of_an_older_study_still_loads_what_was_saved(tmp_path: Path) -> None:
    (tmp_path / "responses.parquet").write_bytes(b"old")
    save_study(STUDIES["choice"], tmp_path)
    same(load_study(tmp_path), STUDIES["choice"])


def test_saving_that_fails_leaves_the_older_study_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_study(STUDIES["choice"], tmp_path)
    original, calls = Path.write_bytes, []

    def full(self: Path, data: bytes) -> int:
        calls.append(self)
        if len(calls) == 3:
            original(self, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StudyError, match="No space left on device"):
        save_study(STUDIES["points"], tmp_path)
    monkeypatch.undo()
    same(load_study(tmp_path), STUDIES["choice"])
    assert len(list(tmp_path.iterdir())) == 4


def test_a_text_that_no_file_can_hold_is_refused_without_writing(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="lone surrogate"):
        save_study(replace(STUDIES["choice"], title="half \ud800"), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_folder_that_is_a_file_cannot_be_saved_to(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("x")
    with pytest.raises(StudyError, match="cannot be written"):
        save_study(STUDIES["choice"], tmp_path / "s")


# --- frames -----------------------------------------------------------------------------------------------


def frames(whole: Study) -> dict[str, Any]:
    problems = pd.DataFrame({"problem": whole.problems.ids, "text": whole.problems.texts})
    problems = pd.concat([problems, whole.problems.attributes], axis=1)
    if whole.response_type.has_options:
        problems["options"] = [list(o) for o in whole.problems.options]
    cells = [
        whole.response_type.write_cell(value, whole.problems.options[t]) or "|"
        for value, t in zip(whole.responses.values_RD, whole.responses.problem_R, strict=True)
    ]
    responses = pd.DataFrame(
        {
            "participant": whole.profiles.ids[whole.responses.participant_R],
            "problem": whole.problems.ids[whole.responses.problem_R],
            "response": cells,
        }
    )
    return {
        "problems": problems,
        "responses": responses,
        "participants": whole.profiles.to_frame(),
        "response": whole.response_type,
        "profile": {column.name: column.to_dict() for column in whole.profiles.columns},
        "title": whole.title,
        "context": whole.context,
        "requirements": whole.requirements,
        "source": whole.source,
        "simulated": whole.simulated,
    }


@pytest.mark.parametrize("name", STUDIES)
def test_frames_make_the_same_study(name: str) -> None:
    same(study_from_frames(**frames(STUDIES[name])), STUDIES[name])


def test_parquet_tables_make_the_same_study(tmp_path: Path) -> None:
    whole = STUDIES["choice"]
    save_study(whole, tmp_path)
    made = frames(whole)
    for name in ("problems", "participants", "responses"):
        (tmp_path / f"{name}.csv").unlink()
        made[name].to_parquet(tmp_path / f"{name}.parquet")
    toml = (tmp_path / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(toml[: toml.index("[files]")] + toml[toml.index("[profile") :])
    same(load_study(tmp_path), whole)


def test_frames_of_numbers_are_read_as_their_words() -> None:
    made = study_from_frames(
        pd.DataFrame({"item": [1, 2], "text": ["a", "b"], "weight": [0.5, np.nan]}),
        pd.DataFrame({"user": [10, 11], "item": [2.0, 1.0], "answer": [3, 1]}),
        pd.DataFrame({"user": [10, 11], "grade": pd.Categorical(["x", None]), "year": pd.array([2001, None], "Int64")}),
        {"type": "ordinal", "levels": [1, 2, 3]},
        {"grade": {"kind": "categorical"}, "year": {"kind": "numeric"}},
        columns={"problem": "item", "participant": "user", "response": "answer"},
    )
    assert made.problems.ids.tolist() == ["1", "2"]
    assert made.problems.attributes["weight"].tolist() == ["0.5", ""]
    assert made.responses.problem_R.tolist() == [1, 0]
    assert made.responses.values_RD.tolist() == [[2], [0]]
    np.testing.assert_array_equal(made.profiles.values_NC, [[0, 2001], [np.nan, np.nan]])


def test_frames_with_mistakes_raise_with_all_of_them() -> None:
    with pytest.raises(StudyError) as raised:
        study_from_frames(
            pd.DataFrame({"problem": ["q1", "q1"], "text": ["a", "b"]}),
            pd.DataFrame({"participant": ["ann"], "problem": ["q2"], "response": ["9"]}),
            None,
            {"type": "ordinal", "levels": [1, 2]},
            {"age": {"kind": "numric"}},
            columns={"response": ["response", "who"]},
        )
    places = {(f.file, f.row, f.value) for f in raised.value.findings if f.severity == "error"}
    assert places == {
        ("arguments", None, "numric"),
        ("arguments", None, "who"),
        ("problems", 3, "q1"),
        ("responses", 2, "q2"),
        ("responses", 2, "9"),
        ("participants", None, ""),
    }


def test_loading_what_is_no_study_raises(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="there is no such folder"):
        load_study(tmp_path / "nothing")
    with pytest.raises(StudyError, match=r"responses\.csv: is missing"):
        load_study(tmp_path)
