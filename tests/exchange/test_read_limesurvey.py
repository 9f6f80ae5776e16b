"""LimeSurvey: every kind of question, by code and in full, old and new questionnaires."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.importing import find_reader, import_study
from crowdllm.exchange.protocol import Imported

Files = Callable[[str], list[list[Path]]]
Answers = Callable[[Study], dict[tuple[str, str], str]]
PartOf = Callable[[Imported, str], Study]
P1, P2 = "p1", "p2"


@pytest.fixture
def groups(sample_files: Files) -> list[list[Path]]:
    return sample_files("limesurvey")


@pytest.mark.parametrize("group", [0, 1, 2], ids=["codes", "full answers", "older questionnaire"])
def test_every_kind_of_question_becomes_its_response_type(
    groups: list[list[Path]], group: int, part_of: PartOf, answers: Answers
) -> None:
    """Two people answered; the third only opened the survey. All by hand from the rows of the sample."""
    imported = import_study(groups[group])
    assert answers(part_of(imported, "single-choice")) == {
        (P1, "colour"): "Red, or pink",
        (P2, "colour"): "Green",
        (P1, "fine"): "Yes",
        (P2, "fine"): "No",
    }
    assert answers(part_of(imported, "multiple-choice")) == {(P1, "drinks"): "#1|#3", (P2, "drinks"): "|"}
    likert = part_of(imported, "likert-4")
    assert likert.response_type.to_dict()["levels"] == ["Strongly disagree", "Disagree", "Agree", "Strongly agree"]
    assert answers(likert) == {
        (P1, "views_SQ001"): "Strongly agree",
        (P1, "views_SQ002"): "Strongly disagree",
        (P2, "views_SQ001"): "Disagree",
    }
    assert list(likert.problems.texts) == ["Do you agree? Cats are clever.", "Do you agree? Dogs are loyal."]
    assert answers(part_of(imported, "ranking")) == {(P1, "order"): "#3|#1|#2", (P2, "order"): "#1|#2|#3"}
    assert answers(part_of(imported, "slider-0-10")) == {
        (P1, "warm_SQ001"): "7.0",
        (P1, "warm_SQ002"): "2.0",
        (P2, "warm_SQ001"): "0.0",
        (P2, "warm_SQ002"): "10.0",
    }
    assert answers(part_of(imported, "constant-sum")) == {(P1, "spread"): "#1=5|#2=5"}  # the second spreads six
    assert answers(part_of(imported, "slider-0-24")) == {(P1, "hours"): "7.5"}  # nobody sleeps thirty hours
    assert answers(part_of(imported, "likert-5")) == {(P1, "five"): "4", (P2, "five"): "5"}


def test_the_texts_of_the_questionnaire_are_plain_words(groups: list[list[Path]], part_of: PartOf) -> None:
    imported = import_study(groups[0])
    study = part_of(imported, "single-choice")
    assert study.problems.texts[0] == "Which colour do you like best?"
    assert study.title == "Pets & drinks (single-choice)"
    assert list(study.profiles.to_frame()["sex"].fillna("")) == ["Female", "Male", ""]


def test_logic_free_text_and_lost_answers_are_noted(groups: list[list[Path]]) -> None:
    imported = import_study(groups[0])
    notes = {(note.kind, note.about): note for note in imported.notes}
    assert notes["display logic", "why"].text == "colour.NAOK == 'C1'"
    assert notes["free text", "why"].count == 1
    assert notes["answers left out", "spread"].count == 1
    assert notes["answers left out", "hours"].count == 1
    assert notes["kept", "submitdate"].count == 1
    assert ("question left out", "hello") in notes
    assert ("column left out", "interviewtime") in notes
    assert [row.text for row in imported.free_text] == ["Call [phone numbers left out]"]
    assert {("token", "payment or completion codes"), ("ipaddr", "IP addresses")} <= {
        (left.column, left.what) for left in imported.left_out
    }


def test_columns_named_with_underscores_are_found(
    samples: Callable[[str], ModuleType], groups: list[list[Path]], part_of: PartOf, answers: Answers
) -> None:
    """As exported for R: drinks_SQ001 for drinks[SQ001]."""
    survey, codes = groups[0]
    text = codes.read_text(encoding="utf-8")
    head, _, body = text.partition("\n")
    codes.write_text(head.replace("[", "_").replace("]", "") + "\n" + body, encoding="utf-8")
    imported = import_study([survey, codes])
    assert answers(part_of(imported, "multiple-choice")) == {(P1, "drinks"): "#1|#3", (P2, "drinks"): "|"}
    assert answers(part_of(imported, "ranking")) == {(P1, "order"): "#3|#1|#2", (P2, "order"): "#1|#2|#3"}


def test_responses_alone_are_guessed_and_say_so(groups: list[list[Path]], part_of: PartOf, answers: Answers) -> None:
    assert find_reader(groups[3]).name == "limesurvey"
    imported = import_study(groups[3])
    assert imported.guessed
    ticks = answers(part_of(imported, "multiple-choice"))
    assert ticks == {(P1, "drinks"): "#1|#3"}  # without a questionnaire N everywhere says nothing


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    bomb = f'<!DOCTYPE document [<!ENTITY l0 "lol">{entities}]><document>&l9;</document>'
    (tmp_path / "bomb.lss").write_text(bomb)
    with pytest.raises(CrowdLLMError, match="entities"):
        import_study(tmp_path / "bomb.lss")


def test_a_table_of_languages_without_any_is_no_stop(groups: list[list[Path]], part_of: PartOf) -> None:
    """Found by fuzzing: a row of another table that stands among the languages."""
    survey = groups[0][0]
    text = survey.read_text(encoding="utf-8")
    odd = "<languages><rows><row><qid>1</qid></row></rows></languages>"
    survey.write_text(re.sub(r"<languages>.*?</languages>", odd, text, flags=re.DOTALL), encoding="utf-8")
    assert len(part_of(import_study(survey), "likert-4").problems) == 2
