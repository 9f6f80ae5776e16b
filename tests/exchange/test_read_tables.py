"""Plain CSV and Excel, wide and long: what is guessed, and how it is changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import openpyxl
import pytest

from crowdllm.data.study import Study
from crowdllm.datasets import load_dataset
from crowdllm.errors import ConfigError, CrowdLLMError, UnknownNameError
from crowdllm.exchange.importing import import_study
from crowdllm.exchange.protocol import Imported

Files = Callable[[str], list[list[Path]]]
Answers = Callable[[Study], dict[tuple[str, str], str]]
PartOf = Callable[[Imported, str], Study]
SATISFIED = ["Very dissatisfied", "Dissatisfied", "Neutral", "Satisfied", "Very satisfied"]


@pytest.fixture
def rows(samples: Callable[[str], ModuleType]) -> list[list[str]]:
    wide: list[list[str]] = samples("tables").wide()
    return wide


@pytest.mark.parametrize("format", ["csv", "excel"])
def test_a_wide_table_is_guessed_column_by_column(
    format: str, sample_files: Files, rows: list[list[str]], part_of: PartOf, answers: Answers
) -> None:
    imported = import_study(sample_files(format)[0])
    assert imported.guessed
    numbers = part_of(imported, "likert-5")
    at = {name: i for i, name in enumerate(rows[0])}
    wanted = {(f"p{i:02d}", q): row[at[q]] for i, row in enumerate(rows[1:], start=1) for q in ("Q1", "Q2", "Q3")}
    assert answers(numbers) == wanted
    words = part_of(imported, "likert-5-2")
    assert words.response_type.to_dict()["levels"] == SATISFIED
    assert list(words.problems.texts) == ["How satisfied are you?"]
    choice = part_of(imported, "single-choice")
    assert choice.problems.options == (("apple", "pear", "plum"),)
    frame = numbers.profiles.to_frame()
    assert list(frame["age"]) == [float(row[at["age"]]) for row in rows[1:]]
    education = next(c for c in numbers.profiles.columns if c.name == "education")
    assert (education.kind, education.levels) == ("ordinal", ("High school", "Bachelor", "Master"))
    assert numbers.weights_N is not None
    np.testing.assert_array_equal(numbers.weights_N, [float(row[at["wt"]]) for row in rows[1:]])


@pytest.mark.parametrize("format", ["csv", "excel"])
def test_personal_columns_of_a_table_are_left_out(format: str, sample_files: Files) -> None:
    imported = import_study(sample_files(format)[0])
    assert {x.column: (x.what, x.how) for x in imported.left_out} == {
        "PROLIFIC_PID": ("identifiers of people, replaced by p1, p2, …", "by name"),
        "email": ("e-mail addresses", "by name"),
        "ip_address": ("IP addresses", "by name"),
        "latitude": ("coordinates", "by name"),
        "longitude": ("coordinates", "by name"),
        "code": ("payment or completion codes", "by content"),
    }


@pytest.mark.parametrize("format", ["csv", "excel"])
def test_a_long_table_is_guessed(
    format: str, sample_files: Files, samples: Callable[[str], ModuleType], answers: Answers
) -> None:
    """Written with semicolons as CSV; ids such as w3 are harmless and stay."""
    imported = import_study(sample_files(format)[1])
    rows = samples("tables").long()[1:]
    (part,) = imported.parts
    assert answers(part.study) == {(row[0], row[1]): row[2] for row in rows}
    assert list(part.study.problems.texts) == [f"Is this rude: {t}?" for t in range(8)]
    assert [(c.name, c.kind) for c in part.study.profiles.columns] == [("age", "numeric"), ("country", "categorical")]
    assert part.study.weights_N is not None
    np.testing.assert_array_equal(part.study.weights_N, [float(row[5]) for row in rows[::8]])
    assert not imported.left_out


def test_the_guess_of_an_import_gives_the_same_import_again(sample_files: Files) -> None:
    for group in sample_files("csv"):
        first = import_study(group)
        again = import_study(group, mapping=first.mapping)
        assert again.counts == first.counts
        assert again.mapping == first.mapping


def test_the_mapping_says_otherwise(sample_files: Files, part_of: PartOf) -> None:
    mapping = {
        "title": "Fruit",
        "columns": {
            "Which fruit do you like?": {"use": "profile"},
            "age": {"use": "problem", "type": "continuous", "low": 0, "high": 120},
            "Q2": {"use": "skip"},
            "Q3": {"use": "problem", "type": "choice"},
        },
    }
    imported = import_study(sample_files("csv")[0], mapping=mapping)
    assert list(part_of(imported, "likert-5").problems.ids) == ["Q1"]
    assert list(part_of(imported, "single-choice").problems.ids) == ["Q3"]
    ages = part_of(imported, "slider-0-120")
    assert list(ages.problems.ids) == ["age"]
    assert ages.title == "Fruit (slider-0-120)"
    assert "Which fruit do you like?" in [c.name for c in ages.profiles.columns]
    assert any(n.about == "Q2" and n.text == "as the mapping says" for n in imported.notes)


@pytest.mark.parametrize(
    ("mapping", "error", "words"),
    [
        ({"participant": "nobody"}, UnknownNameError, "unknown column 'nobody'"),
        ({"columns": {"Q7": {"use": "skip"}}}, UnknownNameError, "unknown column 'Q7'"),
        ({"columns": {"age": {"use": "weight"}, "wt": {"use": "skip"}, "gender": {"use": "weight"}}}, None, ""),
        ({"columns": {"gender": {"use": "weight"}}}, ConfigError, "no number"),
        ({"participant": "gender"}, CrowdLLMError, "a second time"),
    ],
)
def test_a_mapping_that_cannot_be_followed_is_refused(
    mapping: dict[str, object], error: type[Exception] | None, words: str, sample_files: Files
) -> None:
    files = sample_files("csv")[0]
    if error is None:  # the first of two weights counts
        imported = import_study(files, mapping=mapping)
        assert any("another survey weight" in note.text for note in imported.notes)
        return
    with pytest.raises(error, match=words):
        import_study(files, mapping=mapping)


def test_answers_given_twice_and_rows_without_a_person_are_counted(tmp_path: Path, answers: Answers) -> None:
    (tmp_path / "a.csv").write_text("user,item,rating\nu1,a,3\nu1,a,4\nu1,b,2\n,b,1\nu2,a,5\nu2,a,5\nu2,b,\nu3,b,1\n")
    imported = import_study(tmp_path / "a.csv")
    assert answers(imported.study) == {("u1", "a"): "3", ("u1", "b"): "2", ("u2", "a"): "5", ("u3", "b"): "1"}
    counts = {note.text.split(",")[0]: note.count for note in imported.notes}
    assert counts == {
        "no person or no problem is named": 1,
        "different answers of one person to one problem": 1,
        "the same answer given to the same problem again": 1,
    }


def test_options_that_the_mapping_names_are_the_problems_options(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_text("worker,item,answer\na,x,tea\nb,x,milk\na,y,tee\n")
    mapping = {"layout": "long", "columns": {"answer": {"type": "choice", "options": ["tea", "coffee", "milk"]}}}
    imported = import_study(path, "csv", mapping)
    assert imported.study.problems.options[0] == ("tea", "coffee", "milk")
    assert imported.study.responses.values_RD[:, 0].tolist() == [0, 2]
    assert "'tee' (1)" in next(note.text for note in imported.notes if note.kind == "answers left out")


def test_a_column_that_fits_neither_people_nor_problems_is_noted(tmp_path: Path) -> None:
    lines = [f"u{i},t{t},{(i + t) % 3 + 1},{i * 7 + t * 3},same" for i in range(4) for t in range(4)]
    (tmp_path / "a.csv").write_text("user,item,rating,seconds,batch\n" + "\n".join(lines) + "\n")
    notes = {note.about: note.text for note in import_study(tmp_path / "a.csv").notes}
    assert notes["seconds"] == "it differs within people and within problems"
    assert notes["batch"] == "it says the same in all rows"


def test_decimal_commas_are_read_where_the_comma_separates_nothing(tmp_path: Path) -> None:
    rows = [f"u{i};{1 + i % 5};{5 - i % 5};{i % 3},{25 * (1 + i % 3)};{1 + i % 2},3" for i in range(12)]
    path = tmp_path / "answers.csv"
    path.write_bytes("\r\n".join(["user;q1;q2;Gewicht;Straße", *rows]).encode("cp1252"))
    imported = import_study(path, mapping={"columns": {"Straße": {"use": "problem", "type": "ballot"}}})
    weights_N = imported.parts[0].study.weights_N
    assert weights_N is not None
    np.testing.assert_array_equal(weights_N[:3], [0.25, 1.5, 2.75])
    assert [note.about for note in imported.notes if "decimal commas" in note.text] == ["Gewicht"]
    ballot = next(part.study for part in imported.parts if part.study.response_type.kind == "ballot")
    assert ballot.problems.options == (("1", "2", "3"),)  # 1,3 and 2,3 are two ticks each, since the mapping says so


def test_numbers_in_quotes_stay_lists_where_the_comma_separates(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_text("user,q1,q2,ticks\n" + "".join(f'u{i},{1 + i % 5},{5 - i % 5},"1,{2 + i % 2}"\n' for i in range(9)))
    assert not [note for note in import_study(path).notes if "decimal" in note.text]


def test_columns_answered_with_the_same_few_words_are_questions(tmp_path: Path, part_of: PartOf) -> None:
    path = tmp_path / "answers.csv"
    cells = [("yes", "no", "f"), ("no", "yes", "m"), ("yes", "", "f"), ("no", "no", "m")]
    path.write_text(
        "respondent,Tea is good,Coffee is good,gender\n" + "".join(f"{n},{','.join(c)}\n" for n, c in enumerate(cells))
    )
    imported = import_study(path)
    uses = {name: own["use"] for name, own in imported.mapping["columns"].items()}
    assert uses == {"Tea is good": "problem", "Coffee is good": "problem", "gender": "profile"}


def test_a_sheet_can_be_chosen_and_what_stands_above_the_header_is_noted(tmp_path: Path, answers: Answers) -> None:
    book = openpyxl.Workbook()
    book.active.append(["just a note"])
    sheet = book.create_sheet("Data")
    for row in (["Results 2024"], [], ["user", "item", "rating"], ["u1", "a", 3], ["u1", "b", 4], ["u2", "a", 5]):
        sheet.append(row)
    other = book.create_sheet("Other")
    for row in (["user", "item", "rating"], ["u1", "a", 1], ["u1", "b", 2]):
        other.append(row)
    book.save(tmp_path / "b.xlsx")
    imported = import_study(tmp_path / "b.xlsx")
    assert answers(imported.study) == {("u1", "a"): "3", ("u1", "b"): "4", ("u2", "a"): "5"}
    notes = {(note.kind, note.about) for note in imported.notes}
    assert {("sheet left out", "Sheet"), ("sheet left out", "Other"), ("rows above the header", "Data")} <= notes
    chosen = import_study(tmp_path / "b.xlsx", mapping={"sheet": "Other"})
    assert answers(chosen.study) == {("u1", "a"): "1", ("u1", "b"): "2"}
    with pytest.raises(UnknownNameError, match="sheet 'Othr'.*did you mean 'Other'"):
        import_study(tmp_path / "b.xlsx", mapping={"sheet": "Othr"})


def test_cells_that_list_several_options_are_read_when_the_mapping_says_so(
    tmp_path: Path, part_of: PartOf, answers: Answers
) -> None:
    """As form tools export them; an option with a comma must be named, the third person ranks one twice."""
    path = tmp_path / "a.csv"
    path.write_text(
        'picks,order,spread\n"tea, coffee",b > a > c,x=60; y=40\n"Lyon, old town, tea",c > b > a,x=10; y=90\n'
        "milk,a > a > b,x=50; y=60\n"
    )
    mapping = {
        "columns": {
            "picks": {"type": "ballot", "options": ["coffee", "Lyon, old town", "milk", "tea"]},
            "order": {"type": "ranking"},
            "spread": {"type": "points", "budget": 100},
        }
    }
    imported = import_study(path, mapping=mapping)
    picks = answers(part_of(imported, "multiple-choice"))
    assert picks == {("p1", "picks"): "#1|#4", ("p2", "picks"): "#2|#4", ("p3", "picks"): "#3"}
    ranked = part_of(imported, "ranking")
    assert ranked.problems.options == (("a", "b", "c"),)
    assert answers(ranked) == {("p1", "order"): "#2|#1|#3", ("p2", "order"): "#3|#2|#1"}
    spread = answers(part_of(imported, "constant-sum"))
    assert spread == {("p1", "spread"): "#1=60|#2=40", ("p2", "spread"): "#1=10|#2=90"}


def data_file(*parts: str) -> Path:
    folder = os.environ.get("CROWDLLM_DATA_DIR")
    path = Path(folder, *parts) if folder else None
    if path is None or not path.is_file():
        pytest.skip(f"set CROWDLLM_DATA_DIR to a folder that holds {'/'.join(parts)}")
    return path


def test_real_labels_are_read_as_the_data_sets_own_loader_reads_them(answers: Answers) -> None:
    """A long table that nobody here wrote; the loader of the data set is written by hand for it."""
    path = data_file("popquorn_offensiveness", "raw_data.csv")
    study, known = import_study(path).study, load_dataset("offensiveness")
    assert study.describe() == known.describe()
    assert {(f"p{who}", what): cell for (who, what), cell in answers(study).items()} == answers(known)
    assert {c.name for c in study.profiles.columns} == {"gender", "race", "age", "occupation", "education"}


def test_a_real_battery_of_items_is_read_as_the_data_sets_own_loader_reads_it(part_of: PartOf) -> None:
    """A wide table: 25 items on one scale, and the people's age, gender and education."""
    study, known = part_of(import_study(data_file("surveys", "psych_bfi.csv")), "likert-6"), load_dataset("bfi")
    assert sorted(study.problems.ids) == sorted(known.problems.ids)
    assert len(study.responses) == len(known.responses)
    for t, name in enumerate(study.problems.ids):
        own = study.responses.values_RD[study.responses.problem_R == t, 0]
        other = known.responses.values_RD[known.responses.problem_R == list(known.problems.ids).index(name), 0]
        np.testing.assert_array_equal(np.bincount(own.astype(int)), np.bincount(other.astype(int)))
