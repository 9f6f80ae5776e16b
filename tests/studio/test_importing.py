"""A table of responses into a study folder: what is guessed, what the user says, and findings beside the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import crowdllm
from crowdllm.errors import ConfigError, StudyError
from crowdllm.studio.importing import Layout, findings_by_row, guess, make_study, read_upload

LONG = """user_id,item,question_text,rating,Age,city,email
u1,q1,Is it warm?,4,34,Bern,a@x.org
u1,q2,Is it dry?,5,34,Bern,a@x.org
u2,q1,Is it warm?,2,51,Genf,b@x.org
u2,q2,Is it dry?,9,52,Genf,b@x.org
u3,q1,Is it warm?,,28,Bern,c@x.org
u3,q2,Is it dry?,3,28,Bern,c@x.org
"""
WIDE = """respondent,Tea is good,Coffee is good,gender,income
a,yes,no,f,1200
b,no,yes,m,3400
c,yes,,f,2200
d,no,no,m,1800
"""
FIVE = {"type": "ordinal", "levels": ["1", "2", "3", "4", "5"]}


@pytest.fixture
def upload(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "answers.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def long_layout(**more: object) -> Layout:
    roles = {"user_id": "participant", "item": "problem", "question_text": "text", "rating": "response"}
    roles |= {"Age": "profile", "city": "profile", "email": "leave"}
    return Layout("long", roles, {"Age": "numeric", "city": "categorical"}, {}, FIVE, **more)  # type: ignore[arg-type]


def test_columns_of_a_long_table_are_guessed(upload: Callable) -> None:
    table, _ = read_upload(upload(LONG))
    layout, columns, scale = guess(table)
    assert layout == "long"
    roles = {column.name: column.role for column in columns}
    assert roles["user_id"] == "participant"
    assert roles["item"] == "problem"
    assert roles["question_text"] == "text"
    assert roles["rating"] == "response"
    assert roles["city"] == "profile"
    assert roles["email"] == "leave"  # personal
    assert scale["type"] == "ordinal"


def test_columns_of_a_wide_table_are_guessed(upload: Callable) -> None:
    table, _ = read_upload(upload(WIDE))
    layout, columns, scale = guess(table)
    assert layout == "wide"
    roles = {column.name: column.role for column in columns}
    assert roles == {
        "respondent": "participant",
        "Tea is good": "answer",
        "Coffee is good": "answer",
        "gender": "profile",
        "income": "profile",
    }
    assert {column.name: column.kind for column in columns}["income"] == "numeric"
    assert scale == {"type": "choice", "options": ["no", "yes"]}


def test_a_wide_table_becomes_a_study_that_loads(upload: Callable, tmp_path: Path) -> None:
    table, _ = read_upload(upload(WIDE))
    _, columns, scale = guess(table)
    roles = {column.name: column.role for column in columns}
    kinds = {column.name: column.kind for column in columns}
    imported = make_study(table, Layout("wide", roles, kinds, {}, scale, title="Drinks"), tmp_path / "study")
    assert imported.report.usable
    study = crowdllm.load_study(tmp_path / "study")
    assert study.title == "Drinks"
    assert study.describe() == "N=4 T=2 R=7"
    assert list(study.problems.texts) == ["Tea is good", "Coffee is good"]
    assert study.profiles.to_frame().loc["b", "income"] == 3400
    assert "1 empty cells" in imported.findings[0].message


def test_findings_stand_beside_the_rows_of_the_upload(upload: Callable, tmp_path: Path) -> None:
    table, _ = read_upload(upload(LONG))
    imported = make_study(table, long_layout(), tmp_path / "study")
    assert not imported.report.usable
    rows, _ = findings_by_row(table, long_layout(), imported)
    by_row = {row.row: row for row in rows}
    assert any(f.severity == "error" and f.value == "9" for f in by_row[5].findings)
    assert any("described in two ways" in f.message for f in by_row[5].findings)
    assert dict(by_row[5].cells)["rating"] == "9"
    assert "email" not in dict(by_row[5].cells)
    assert not [row for row in rows if row.row in (2, 3, 4) and any(f.severity == "error" for f in row.findings)]


def test_rows_are_left_out_only_when_it_is_said_and_the_study_says_which(upload: Callable, tmp_path: Path) -> None:
    table, _ = read_upload(upload(LONG))
    imported = make_study(table, long_layout(left_out=(5,)), tmp_path / "study")
    assert imported.report.usable
    study = crowdllm.load_study(tmp_path / "study")
    assert len(study.responses) == 4
    assert "Left out at import: 1 rows of the table (row 5)." in study.source
    assert "a@x.org" not in (tmp_path / "study" / "participants.csv").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rating": "leave"}, "no column is the response"),
        ({"item": "leave"}, "no column is the problem"),
        ({"city": "participant"}, "two columns are the participant"),
        ({"city": "answer"}, "no column is 'answer'"),
        ({"nowhere": "leave"}, "no column 'nowhere'"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(
    upload: Callable, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    table, _ = read_upload(upload(LONG))
    said = long_layout()
    with pytest.raises(ConfigError, match=words):
        make_study(table, Layout("long", {**said.roles, **change}, said.kinds, {}, FIVE), tmp_path / "study")


def test_a_table_without_participants_has_one_per_row(upload: Callable, tmp_path: Path) -> None:
    table, _ = read_upload(upload("A,B\n1,2\n2,1\n"))
    said = Layout("wide", {"A": "answer", "B": "answer"}, {}, {}, {"type": "ordinal", "levels": ["1", "2"]})
    assert make_study(table, said, tmp_path / "study").report.usable
    assert list(crowdllm.load_study(tmp_path / "study").profiles.ids) == ["p1", "p2"]


@pytest.mark.parametrize("text", ["", "only,a,header\n", "\0\0\0\0"])
def test_a_file_without_rows_is_refused(upload: Callable, text: str) -> None:
    with pytest.raises(StudyError):
        read_upload(upload(text))


def test_hostile_names_and_cells_stay_text(upload: Callable, tmp_path: Path) -> None:
    text = 'user,item,answer,"a]\n[x"\n"=1+1",<script>,1,"é, "" ]"\nu2,"../../etc",2,\n'
    table, _ = read_upload(upload(text))
    roles = {"user": "participant", "item": "problem", "answer": "response", "a] [x": "profile"}
    said = Layout("long", roles, {}, {}, {"type": "ordinal", "levels": ["1", "2"]}, title='"\n[files]\nx="')
    imported = make_study(table, said, tmp_path / "study")
    assert imported.report.usable, [str(f) for f in imported.report.findings]
    study = crowdllm.load_study(tmp_path / "study")
    assert list(study.profiles.ids) == ["=1+1", "u2"]
    assert list(study.problems.ids) == ["<script>", "../../etc"]
    assert study.profiles.columns[0].levels == ('é, " ]',)


ROWS = [(f"u{i}", 20 + i, 1 + i % 5, 5 - i % 5, (0.5, 1.5, 1)[i % 3]) for i in range(9)]
LIKERT = "person,How warm?,How dry?,gender,weight\n" + "".join(
    f"{who},{one},{'' if who == 'u3' else two},{'fm'[age % 2]},{weight}\n" for who, age, one, two, weight in ROWS
)
SPACED = "participant, problem, response, age\n" + "".join(
    f"{who}, q1 , {one}, {age}\n{who} , q2, {two}, {age}\n" for who, age, one, two, _ in ROWS
)
COMMAS = "Teilnehmer;Wie warm?;Wie nass?;Alter\n" + "".join(
    f"{who};{one},5;{two},25;{age}\n" for who, age, one, two, _ in ROWS
)
NAMELESS = "Tea is good,Coffee is good,gender\n" + "yes,no,f \nno,yes,m\nno,no,m\nyes,yes,f\n" * 2


@pytest.mark.parametrize(
    "text",
    [LONG.replace("Genf,b@x.org\nu2,q2,Is it dry?,9,52", "Genf,b@x.org\nu2,q2,Is it dry?,1,51"), WIDE, LIKERT, SPACED,
     COMMAS, NAMELESS],
    ids=["long", "wide", "likert", "spaced", "commas", "nameless"],
)  # fmt: skip
def test_a_plain_table_is_the_study_that_the_command_makes_of_it(text: str, upload: Callable, tmp_path: Path) -> None:
    table, _ = read_upload(upload(text))
    layout, columns, scale = guess(table)
    kinds, levels = {c.name: c.kind for c in columns}, {c.name: c.levels for c in columns}
    make_study(table, Layout(layout, {c.name: c.role for c in columns}, kinds, levels, scale), tmp_path / "studio")
    crowdllm.import_study(tmp_path / "answers.csv", out=tmp_path / "command")
    ours, theirs = crowdllm.load_study(tmp_path / "studio"), crowdllm.load_study(tmp_path / "command")
    assert ours.response_type == theirs.response_type
    assert ours.problems.ids.tolist() == theirs.problems.ids.tolist()
    assert ours.problems.texts.tolist() == theirs.problems.texts.tolist()
    assert ours.problems.options == theirs.problems.options
    assert [replace(c, label="") for c in ours.profiles.columns] == [
        replace(c, label="") for c in theirs.profiles.columns
    ]
    assert ours.profiles.ids.tolist() == theirs.profiles.ids.tolist()
    np.testing.assert_array_equal(ours.profiles.values_NC, theirs.profiles.values_NC)
    assert (ours.weights_N is None) == (theirs.weights_N is None)
    if ours.weights_N is not None:
        np.testing.assert_array_equal(ours.weights_N, theirs.weights_N)
    assert len(ours.responses) > 0
    assert responses_of(ours) == responses_of(theirs)


def responses_of(study: crowdllm.Study) -> list[tuple[str, str, list[float]]]:
    """Who, on what, and the values, in order."""
    held = study.responses
    people, problems = study.profiles.ids[held.participant_R], study.problems.ids[held.problem_R]
    return sorted(zip(people.tolist(), problems.tolist(), held.values_RD.tolist(), strict=True))


def test_blanks_around_ids_and_decimal_commas_are_noted(upload: Callable, tmp_path: Path) -> None:
    spaced = crowdllm.import_study(upload(SPACED))
    assert len(spaced.study.profiles) == 9
    assert [note.count for note in spaced.notes if "blanks around" in note.text] == [2 * 9 * 3 + 9]
    _, findings = read_upload(upload(COMMAS))
    assert any("decimal commas" in finding.message for finding in findings)
