"""SPSS and Stata files written by pyreadstat: labels, missing codes, weights, and files that crash their reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.importing import find_reader, import_study
from crowdllm.exchange.labelled import labelled_items
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.protocol import Imported
from crowdllm.exchange.statistics_file import AnswerSet, StatisticsFile, Variable

Files = Callable[[str], list[list[Path]]]
Answers = Callable[[Study], dict[tuple[str, str], str]]
PartOf = Callable[[Imported, str], Study]
FORMATS = [("spss", 0), ("spss", 1), ("spss", 2), ("stata", 0), ("stata", 1)]
IDS = ["sav", "sav by row", "zsav", "dta 15", "dta 10"]


@pytest.mark.parametrize(("format", "group"), FORMATS, ids=IDS)
def test_labels_become_levels_and_missing_codes_no_answer(
    format: str, group: int, sample_files: Files, part_of: PartOf, answers: Answers
) -> None:
    """Six people, of whom the second has no weight and so is not there. By hand from the sample's frame."""
    files = sample_files(format)[group]
    assert find_reader(files).name == format
    imported = import_study(files)
    likert = part_of(imported, "likert-5")
    levels = ["Disagree strongly", "Disagree", "Neither", "Agree", "Agree strongly"]
    assert likert.response_type.to_dict()["levels"] == levels  # turned round: from low to high
    assert list(likert.profiles.ids) == ["p1", "p3", "p4", "p5", "p6"]
    assert answers(likert) == {
        ("p1", "better"): "Agree strongly",
        ("p5", "better"): "Disagree strongly",
        ("p6", "better"): "Neither",
        ("p1", "fair"): "Disagree strongly",
        ("p3", "fair"): "Neither",
        ("p4", "fair"): "Agree",
        ("p5", "fair"): "Agree strongly",
    }
    assert list(likert.problems.texts) == ["Immigrants make the country better", "Courts are fair"]
    news = part_of(imported, "single-choice")
    where = {("p1", "news"): "Television"} | {(p, "news"): "Internet" for p in ("p3", "p5", "p6")}
    no_answer = {} if format == "spss" else {("p4", "news"): "No answer"}  # declared as missing in the .sav only
    assert {key: cell for key, cell in answers(news).items() if key[1] == "news"} == where | no_answer
    warm = answers(part_of(imported, "number"))
    assert warm["p4", "warm"] == "12.25"


@pytest.mark.parametrize("format", ["spss", "stata"])
def test_only_the_ends_of_a_scale_are_labelled(
    format: str, sample_files: Files, part_of: PartOf, answers: Answers
) -> None:
    study = part_of(import_study(sample_files(format)[0]), "likert-11")
    assert study.response_type.to_dict()["levels"] == [str(n) for n in range(11)]
    assert study.response_type.to_dict()["ends"] == ["No trust at all", "Complete trust"]
    assert answers(study)["p4", "trust"] == "7"


@pytest.mark.parametrize("format", ["spss", "stata"])
def test_weights_profiles_and_personal_data(format: str, sample_files: Files) -> None:
    imported = import_study(sample_files(format)[0])
    study = imported.study
    assert study.weights_N is not None
    np.testing.assert_array_equal(study.weights_N, [0.5, 1.5, 1.0, 2.0, 1.0])
    frame = study.profiles.to_frame()
    np.testing.assert_array_equal(frame["age"], [20, 40, 50, np.nan, 70])
    educ = next(column for column in study.profiles.columns if column.name == "educ")
    assert (educ.kind, educ.levels) == ("ordinal", ("Primary school", "High school", "Bachelor", "Master"))
    assert {left.column for left in imported.left_out} == {"respid", "email", "why"}
    assert [row.text for row in imported.free_text if "mail" in row.text] == [
        "I said so, mail me at [e-mail addresses left out]"
    ]
    notes = {(note.kind, note.about): note for note in imported.notes}
    assert notes["people left out", "wt"].count == 1


def test_missing_codes_are_counted_with_their_labels(sample_files: Files) -> None:
    notes = {(n.kind, n.about): n for n in import_study(sample_files("spss")[0]).notes}
    assert notes["missing codes", "better"].text == "read as no answer: '9 Refused' (1)"
    assert notes["missing codes", "news"].count == 1
    assert "Don't know" in notes["answers left out", "better"].text
    notes = {(n.kind, n.about): n for n in import_study(sample_files("stata")[0]).notes}
    assert notes["missing codes", "better"].text == "read as no answer: 'a Refused' (1)"  # Stata's .a


def text_variable(*cells: str) -> Variable:
    return Variable("open", "Comment", np.array(cells, dtype=object), (), type="A20")


def test_a_text_that_one_word_fills_is_no_question() -> None:
    data = StatisticsFile("", 3, (text_variable("yes", "yes", "yes"),), ())
    (item,) = labelled_items(data, "", {}, Ledger())
    assert item.kind == "text"


def test_addresses_become_no_options(tmp_path: Path) -> None:
    """Two repeated texts look like options; the address in one of them is nobody's option."""
    import pandas as pd
    import pyreadstat

    frame = pd.DataFrame(
        {
            "which": ["please do call my colleague at a.b@example.org now", "the other"] * 6,
            "fair": [1.0, 2.0, 3.0, 4.0] * 3,
        }
    )
    pyreadstat.write_sav(
        frame, tmp_path / "a.sav", variable_value_labels={"fair": {1.0: "a", 2.0: "b", 3.0: "c", 4.0: "d"}}
    )
    imported = import_study(tmp_path / "a.sav", out=tmp_path / "study")
    held = "".join(p.read_text() for p in (tmp_path / "study").rglob("*") if p.is_file())
    assert "example.org" not in held
    assert "at [e-mail addresses left out] now" in held
    assert [(x.column, x.count) for x in imported.left_out] == [("which", 6)]


def test_a_set_of_ticks_is_one_question_with_several_answers() -> None:
    """SPSS knows such sets; the second person ticked nothing, the third was not asked."""

    def ticks(name: str, label: str, *cells: str) -> Variable:
        return Variable(name, label, np.array(cells, dtype=object), (("0", "No"), ("1", "Yes")), type="F1.0")

    variables = (ticks("tv", "Television", "1", "0", ""), ticks("web", "Internet", "1", "0", ""))
    data = StatisticsFile("", 3, variables, (AnswerSet("$news", "Where do you get news?", "1", ("tv", "web")),))
    (item,) = labelled_items(data, "", {}, Ledger())
    assert (item.id, item.kind, item.options) == ("news", "multiple", ("Television", "Internet"))
    assert list(item.cells_N) == ["#1|#2", "|", ""]


def test_a_file_that_crashes_its_reader_is_refused(
    samples: Callable[[str], ModuleType], sample_files: Files, tmp_path: Path
) -> None:
    """Damaged .sav files can make the C library crash; here it happens in a process of its own."""
    import random

    damage = samples("damage")
    whole = sample_files("spss")[0][0].read_bytes()
    for number in range(3):
        path = tmp_path / f"{number}.sav"
        path.write_bytes(damage.damaged(whole[: 700 + 300 * number], random.Random(number)))
        with pytest.raises(CrowdLLMError, match=f"^{number}.sav: "):
            import_study(path, "spss")


@pytest.mark.parametrize("format", ["spss", "stata"])
def test_what_is_no_such_file_is_refused(format: str, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"no such thing")
    with pytest.raises(CrowdLLMError, match="damaged"):
        import_study(path, format)
