"""Qualtrics: every kind of question, by text and by value, with and without the questionnaire."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.importing import import_study
from crowdllm.exchange.protocol import Imported

Files = Callable[[str], list[list[Path]]]
Answers = Callable[[Study], dict[tuple[str, str], str]]
PartOf = Callable[[Imported, str], Study]
LYON, LILLE, NICE = "Lyon, the old town", "Lille", "Nice"


@pytest.fixture
def groups(sample_files: Files) -> list[list[Path]]:
    return sample_files("qualtrics")


@pytest.mark.parametrize("group", [0, 1, 2], ids=["by text", "by value", "older export"])
def test_every_kind_of_question_becomes_its_response_type(
    groups: list[list[Path]], group: int, part_of: PartOf, answers: Answers
) -> None:
    """The two people of the file; the third row is a preview. All by hand from the rows of the sample."""
    imported = import_study(groups[group])
    p1, p2 = "p1", "p2"
    assert answers(part_of(imported, "single-choice")) == {
        (p1, "Q2"): LYON,
        (p2, "Q2"): NICE,
        (p1, "Q8_best"): "Taste",
        (p2, "Q8_best"): "Looks",
        (p1, "Q8_worst"): "Price",
        (p2, "Q8_worst"): "Taste",
    }
    assert answers(part_of(imported, "multiple-choice")) == {(p1, "Q3"): "#1|#3", (p2, "Q3"): "#2"}
    likert = part_of(imported, "likert-5")
    assert likert.response_type.to_dict()["levels"] == [
        "Strongly disagree",
        "Disagree",
        "Neither agree nor disagree",
        "Agree",
        "Strongly agree",
    ]
    assert answers(likert) == {(p1, "Q4_1"): "Agree", (p2, "Q4_1"): "Disagree", (p1, "Q4_2"): "Strongly disagree"}
    assert list(likert.problems.texts) == ["Do you agree? Trains are fast.", "Do you agree? Trains are cheap."]
    slider = part_of(imported, "slider-0-100")
    assert answers(slider) == {
        (p1, "Q5_1"): "70.0",
        (p1, "Q5_2"): "15.0",
        (p2, "Q5_1"): "0.0",
        (p2, "Q5_2"): "100.0",
    }
    assert answers(part_of(imported, "ranking")) == {(p1, "Q6"): "#2|#1|#3", (p2, "Q6"): "#1|#2|#3"}
    assert answers(part_of(imported, "constant-sum")) == {(p1, "Q7"): "#1=50|#2=30|#3=20"}
    assert answers(part_of(imported, "number")) == {(p1, "Q9"): "4.0"}
    assert answers(part_of(imported, "likert-11")) == {(p1, "Q11"): "9", (p2, "Q11"): "10"}


def test_people_have_profiles_weights_and_no_platform_ids(groups: list[list[Path]]) -> None:
    study = import_study(groups[0]).study
    assert list(study.profiles.ids) == ["p1", "p2"]
    assert list(study.profiles.to_frame()["Q1"]) == ["Female", "Male"]
    assert study.weights_N is not None
    np.testing.assert_array_equal(study.weights_N, [1.5, 0.5])


def test_personal_columns_are_named_and_nothing_of_them_is_kept(groups: list[list[Path]], tmp_path: Path) -> None:
    imported = import_study(groups[0], out=tmp_path / "out")
    left = {(x.column, x.what) for x in imported.left_out}
    assert {
        ("IPAddress", "IP addresses"),
        ("ResponseId", "platform identifiers"),
        ("RecipientEmail", "e-mail addresses"),
        ("LocationLatitude", "coordinates"),
        ("LocationLongitude", "coordinates"),
        ("PROLIFIC_PID", "platform identifiers"),
        ("Q10", "e-mail addresses in open answers"),
    } <= left
    written = "\n".join(path.read_text(encoding="utf-8") for path in (tmp_path / "out").rglob("*.*") if path.is_file())
    for secret in ("example.org", "203.0.113", "R_2aBc", "48.2082", "5f3c1e2d"):
        assert secret not in written
    assert "Write to [e-mail addresses left out]" in written


def test_what_is_not_carried_over_is_noted(groups: list[list[Path]]) -> None:
    notes = {(note.kind, note.about): note for note in import_study(groups[0]).notes}
    assert "Gender" in notes["display logic", "Q2"].text
    assert ("display logic", "survey flow") in notes
    assert notes["free text", "Q10"].count == 1
    assert notes["people left out", "Status"].count == 1
    assert notes["answers left out", "Q7"].count == 1  # the second spreads 90 + 30 + 20
    assert notes["answers left out", "Q9"].text.endswith("'none' (1)")
    assert "Q13" in notes["question left out", ""].text
    assert ("question left out", "Q12") in notes


def test_a_questionnaire_alone_gives_problems_without_responses(groups: list[list[Path]], part_of: PartOf) -> None:
    imported = import_study(groups[4])
    study = part_of(imported, "single-choice")
    assert list(study.problems.ids) == ["Q2", "Q8_best", "Q8_worst"]
    assert study.problems.texts[0] == "Which city do you like best?"
    assert study.problems.options[0] == (LYON, LILLE, NICE)
    assert len(study.responses) == len(study.profiles) == 0
    assert not imported.guessed


def test_responses_alone_are_guessed_and_say_so(groups: list[list[Path]], part_of: PartOf, answers: Answers) -> None:
    imported = import_study(groups[3])
    assert imported.guessed
    assert answers(part_of(imported, "ranking")) == {("p1", "Q6"): "#2|#1|#3", ("p2", "Q6"): "#1|#2|#3"}
    assert part_of(imported, "ranking").problems.options[0] == ("Tea", "Coffee", "Water")


def test_picks_in_columns_of_their_own_are_one_question(
    samples: Callable[[str], ModuleType], tmp_path: Path, part_of: PartOf, answers: Answers
) -> None:
    """As exported with "split multi-value fields into columns"; the second person picked nothing or saw nothing."""
    survey = samples("qualtrics").questionnaire()
    (tmp_path / "s.qsf").write_text(json.dumps(survey))
    (tmp_path / "r.csv").write_text(
        "Progress,Q3_1,Q3_2,Q3_3\nProgress,Which - Lyon,Which - Lille,Which - Nice\n"
        '"{""ImportId"":""progress""}","{""ImportId"":""QID3"",""choiceId"":""1""}",'
        '"{""ImportId"":""QID3"",""choiceId"":""2""}","{""ImportId"":""QID3"",""choiceId"":""3""}"\n'
        "100,1,,1\n50,,,\n100,,1,\n"
    )
    imported = import_study([tmp_path / "s.qsf", tmp_path / "r.csv"])
    assert answers(part_of(imported, "multiple-choice")) == {("p1", "Q3"): "#1|#3", ("p3", "Q3"): "#2"}


def test_the_mapping_changes_what_a_question_is(groups: list[list[Path]], part_of: PartOf) -> None:
    mapping = {"columns": {"Q1": {"use": "problem"}, "Q2": {"use": "profile"}, "Q11": {"use": "skip"}}}
    imported = import_study(groups[0], mapping=mapping)
    study = part_of(imported, "single-choice")
    assert "Q1" in study.problems.ids
    assert "Q2" not in study.problems.ids
    assert [column.name for column in study.profiles.columns] == ["Q2"]
    assert "likert-11" not in [part.name for part in imported.parts]


def test_a_question_that_the_mapping_invents_is_refused_with_the_nearest(groups: list[list[Path]]) -> None:
    with pytest.raises(CrowdLLMError, match=r"'Q4_9'.*did you mean"):
        import_study(groups[0], mapping={"columns": {"Q4_9": {"use": "skip"}}})


def test_two_questionnaires_are_refused(groups: list[list[Path]], tmp_path: Path) -> None:
    other = tmp_path / "other.qsf"
    other.write_bytes(groups[0][0].read_bytes())
    with pytest.raises(CrowdLLMError, match="one questionnaire"):
        import_study([groups[0][0], other])
