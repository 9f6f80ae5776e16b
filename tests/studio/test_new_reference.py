"""References of new problems: typed shares and decisions, and what stands for a distribution where one is wanted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import crowdllm
from crowdllm.data.problems import Problems
from crowdllm.errors import ConfigError, CrowdLLMError, MismatchError, UnparsableAnswerError
from crowdllm.reference import Reference, Unread
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.ranking import Ranking
from crowdllm.studio.new_reference import (
    NewReference,
    decision_from,
    expected,
    items_with_reference,
    of_elicited,
    typed_shares,
    typed_values,
)

FIVE = Ordinal(("1", "2", "3", "4", "5"))


def test_percentages_become_shares() -> None:
    assert typed_shares(FIVE, (), ["10", "20 %", "", "30", "40"]) == pytest.approx((0.1, 0.2, 0.0, 0.3, 0.4))


def test_shares_are_made_to_add_up_to_one() -> None:
    assert sum(typed_shares(Choice(3), ("a", "b", "c"), ["33", "33", "33.5"])) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["10", "20", "30"], "3 numbers were given, and there are 5"),
        (["a lot", "", "", "", ""], "must be a number of at least 0"),
        (["-5", "105", "", "", ""], "must be a number of at least 0"),
        (["", "", "", "", ""], "no share was given"),
        (["10", "10", "10", "10", "10"], "add up to 50, not to 100"),
    ],
)
def test_shares_that_cannot_be_meant_are_refused(texts: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        typed_shares(FIVE, (), texts)


def test_decisions_are_read_by_the_scale() -> None:
    assert typed_values(FIVE, (), "4") == ((3.0,),)
    assert typed_values(Continuous(0, 10), (), "3.5 4; 7") == ((3.5,), (4.0,), (7.0,))
    with pytest.raises(UnparsableAnswerError):
        typed_values(FIVE, (), "6")


@pytest.mark.parametrize(
    ("kind", "shares", "decision"),
    [
        (FIVE, [0.5, 0.0, 0.0, 0.0, 0.5], [2.0]),  # mean 3
        (FIVE, [0.0, 0.0, 0.1, 0.9, 0.0], [3.0]),  # mean 3.9
        (Choice(3), [0.2, 0.5, 0.3], [1.0]),
        (Ballot(2, 2, 4), [0.1, 0.4, 0.2, 0.3], [0.0, 1.0, 0.0, 1.0]),
        (Points(10, 1, 3), [0.55, 0.25, 0.2], [6.0, 2.0, 2.0]),
        (Points(10, 5, 3), [0.55, 0.25, 0.2], [5.0, 5.0, 0.0]),
        (Ranking(2, 3), [0.2, 0.5, 0.3], [0.0, 1.0, 2.0]),
    ],
)
def test_a_decision_stands_for_a_distribution(kind: object, shares: list[float], decision: list[float]) -> None:
    found = decision_from(kind, np.array(shares))  # type: ignore[arg-type]
    assert found.tolist() == decision
    assert kind.legal(found[None], np.array([len(shares)])).all()  # type: ignore[attr-defined]


def test_a_model_says_what_it_expects(model_folder: Path) -> None:
    wanted = expected(crowdllm.load_model(model_folder))
    assert wanted.sources == ("recorded",)
    assert wanted.soft == (True,)
    assert wanted.mode == "distribution"


def test_a_problem_without_its_reference_is_refused_in_words(model_folder: Path) -> None:
    problems = Problems(np.array(["new"], dtype=object), np.array(["A new one."], dtype=object))
    with pytest.raises(MismatchError, match=r"fitted with references \(recorded\).*type one in"):
        items_with_reference(crowdllm.load_model(model_folder), problems, None)


def test_a_typed_distribution_reaches_the_model_as_log_shares(model_folder: Path) -> None:
    model = crowdllm.load_model(model_folder)
    problems = Problems(np.array(["new"], dtype=object), np.array(["A new one."], dtype=object))
    shares = (0.1, 0.2, 0.3, 0.25, 0.15)
    items = items_with_reference(model, problems, NewReference("typed in", "w", shares))
    np.testing.assert_allclose(items.reference_IF[0, :5], np.log(np.array(shares) + 0.01))
    assert items.reference_IF[0, -1] == 0.0  # not missing


def test_a_reference_of_other_answers_is_refused(model_folder: Path) -> None:
    problems = Problems(np.array(["new"], dtype=object), np.array(["A new one."], dtype=object))
    with pytest.raises(MismatchError, match="given for other answers"):
        items_with_reference(crowdllm.load_model(model_folder), problems, NewReference("typed in", "w", (0.5, 0.5)))


def test_an_answer_that_cannot_be_read_is_shown_and_not_used() -> None:
    nothing = np.full((1, 1, 1), np.nan)
    unread = (Unread("new", 0, "unparsable", "I cannot say.", "Sorry."),)
    reference = Reference("llm", "decision", np.array(["new"], dtype=object), nothing, asked=1, unread=unread)
    with pytest.raises(CrowdLLMError, match="no legal answer: 'Sorry.'"):
        of_elicited(reference, "w", "llm")


def test_a_reference_comes_back_from_json_the_same() -> None:
    given = NewReference("llm", "w", None, ((1.0, 0.0), (0.0, 1.0)), "samples", ("one", "two"))
    assert NewReference.from_dict(given.to_dict()) == given
