"""XLSForm: forms that pyxform accepts, with and without an export of submissions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.importing import find_reader, import_study
from crowdllm.exchange.protocol import Imported

Files = Callable[[str], list[list[Path]]]
Answers = Callable[[Study], dict[tuple[str, str], str]]
PartOf = Callable[[Imported, str], Study]


@pytest.fixture
def groups(sample_files: Files) -> list[list[Path]]:
    return sample_files("xlsform")


def questions(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The questions of a form as pyxform reads it."""
    for child in node.get("children", []):
        yield child
        yield from questions(child) if child.get("type") in ("group", "survey") else ()


def test_the_questions_are_those_that_pyxform_reads(groups: list[list[Path]]) -> None:
    """pyxform is the format's own library: same selects, same labels, same choices."""
    from pyxform.xls2json import parse_file_to_json

    form = parse_file_to_json(str(groups[0][0]))
    lists = form["choices"]
    wanted = {}
    for child in questions(form):
        if child["type"] in ("select one", "select all that apply", "rank"):
            labels = tuple(choice["label"]["English (en)"] for choice in lists[child["list_name"]])
            wanted[child["name"]] = (child["label"]["English (en)"], labels)
    assert set(wanted) == {"sex", "tax", "rent", "crop", "eaten", "best"}
    imported = import_study(groups[0])
    found = {}
    for part in imported.parts:
        levels = tuple(getattr(part.study.response_type, "levels", ()))
        for t, name in enumerate(part.study.problems.ids):
            found[name] = (part.study.problems.texts[t], part.study.problems.options[t] or levels)
    sex = next(column for column in imported.study.profiles.columns if column.name == "sex")
    found["sex"] = (sex.label, sex.levels)
    assert {name: found[name] for name in wanted} == wanted


def test_submissions_become_responses(groups: list[list[Path]], part_of: PartOf, answers: Answers) -> None:
    """By hand from the three rows of the sample."""
    imported = import_study(groups[1])
    p1, p2, p3 = "p1", "p2", "p3"
    likert = part_of(imported, "likert-3")
    assert likert.response_type.to_dict()["levels"] == ["Disagree", "Neither", "Agree"]
    assert answers(likert) == {
        (p1, "tax"): "Disagree",
        (p1, "rent"): "Agree",
        (p2, "tax"): "Agree",
        (p2, "rent"): "Neither",
        (p3, "tax"): "Neither",
    }
    crops = {(p1, "crop"): "Maize", (p2, "crop"): "Rice", (p3, "crop"): "Beans"}
    assert answers(part_of(imported, "single-choice")) == crops
    ballots = part_of(imported, "multiple-choice")
    assert answers(ballots) == {(p1, "eaten"): "#1|#3", (p3, "eaten"): "#2"}
    assert ballots.response_type.to_dict()["max_picks"] == 2  # from count-selected(.) <= 2
    ranked = {(p1, "best"): "#3|#1|#2", (p2, "best"): "#2|#3|#1", (p3, "best"): "#1|#2|#3"}
    assert answers(part_of(imported, "ranking")) == ranked
    assert answers(part_of(imported, "slider-0-10")) == {(p1, "mood"): "7.0", (p3, "mood"): "0.0"}
    frame = likert.profiles.to_frame()
    assert list(frame["age"]) == [34, 17, 50]
    assert list(frame["sex"]) == ["Female", "Male", "Male"]


def test_places_devices_and_instances_are_left_out(groups: list[list[Path]]) -> None:
    imported = import_study(groups[1])
    left = {x.column: x.what for x in imported.left_out}
    assert left["place-Latitude"] == left["place-Longitude"] == "coordinates"
    assert {"deviceid", "KEY"} <= set(left)
    kinds = {(note.kind, note.about) for note in imported.notes}
    assert ("display logic", "rent") in kinds
    assert ("calculation", "double") in kinds
    assert ("answers left out", "mood") in kinds  # 11 on a range up to 10
    assert ("language left out", "") in kinds


def test_choices_spread_over_columns_are_one_answer(
    groups: list[list[Path]], tmp_path: Path, part_of: PartOf, answers: Answers
) -> None:
    """As KoboToolbox exports them, with labels and in a workbook."""
    book = openpyxl.Workbook()
    for row in (
        ("crop", "food/eaten", "food/eaten/maize", "food/eaten/beans", "food/eaten/rice", "_uuid"),
        ("Beans", "Maize Rice", 1, 0, 1, "u1"),
        ("Rice", None, None, None, None, "u2"),
        ("Rice", "", 0, 0, 0, "u3"),
    ):
        book.active.append(row)
    book.save(tmp_path / "data.xlsx")
    imported = import_study([groups[0][0], tmp_path / "data.xlsx"])
    assert answers(part_of(imported, "multiple-choice")) == {("p1", "eaten"): "#1|#3", ("p3", "eaten"): "|"}
    assert answers(part_of(imported, "single-choice"))["p1", "crop"] == "Beans"


def test_a_workbook_with_other_sheets_is_no_form(groups: list[list[Path]], tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.save(tmp_path / "plain.xlsx")
    assert find_reader([tmp_path / "plain.xlsx"]).name == "excel"
    assert find_reader(groups[0]).name == "xlsform"
    with pytest.raises(CrowdLLMError, match="XLSForm"):
        import_study(tmp_path / "plain.xlsx", "xlsform")
