"""Eliciting references: every answer parsed or counted as unparsable, shares laid where they belong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from crowdllm.data.problems import Problems
from crowdllm.elicitation import elicit_references
from crowdllm.errors import MismatchError
from crowdllm.llm.protocol import Answer, Prompt
from crowdllm.llm.scripted import ScriptedBackend
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType

FIVE = Ordinal(("1", "2", "3", "4", "5"))
PAIRS = (("red", "blue"), ("tea", "milk", "juice"))


def problems(options: tuple[tuple[str, ...], ...] = ()) -> Problems:
    return Problems(np.array(["a", "b"], dtype=object), np.array(["First", "Second"], dtype=object), options)


@dataclass(frozen=True)
class Shares:
    """Gives these shares, and answers out of order."""

    shares: dict[str, tuple[float, ...]]
    name: str = "elicited"

    def ask(self, prompts: Sequence[Prompt], draws: int) -> Iterator[Answer]:
        for prompt in reversed(prompts):
            yield Answer(prompt, (), self.shares.get(prompt.problem_id, ()))


def test_answers_are_parsed_and_the_unparsable_counted_not_guessed() -> None:
    backend = ScriptedBackend({"a": ["Rating: 4", "five", "2"], "b": ["", "I cannot rate this."]})
    ref = elicit_references(problems(), FIVE, backend, draws=3)
    assert (ref.asked, ref.unparsable) == (5, 3)
    assert np.array_equal(ref.values_TKD[:, :, 0], [[3, np.nan, 1], [np.nan] * 3], equal_nan=True)
    assert (ref.name, ref.mode, ref.distribution_TM) == ("scripted", "samples", None)


def test_the_prompt_that_reaches_the_llm_holds_context_question_and_text() -> None:
    seen: list[str] = []

    def script(prompt: Prompt, k: int) -> str:
        seen.append(prompt.text)
        return "3"

    elicit_references(problems(), FIVE, ScriptedBackend(script), 2, "A town hall.", "How good is it?")
    assert len(seen) == 4
    assert all("A town hall." in text and "How good is it?" in text for text in seen)
    assert "First" in seen[0]
    assert "Second" in seen[2]


def test_draws_are_numbered_and_one_draw_is_a_decision() -> None:
    ref = elicit_references(problems(), FIVE, ScriptedBackend(lambda prompt, k: str(k + 1)), draws=4)
    assert ref.values_TKD[:, :, 0].tolist() == [[0, 1, 2, 3]] * 2
    assert elicit_references(problems(), FIVE, ScriptedBackend(lambda prompt, k: "1"), draws=1).mode == "decision"


def test_options_are_parsed_per_problem_and_padded() -> None:
    backend = ScriptedBackend({"a": ["Picks: #2"], "b": ["juice, tea"]})
    ref = elicit_references(problems(PAIRS), Ballot(1, 2, 3), backend, draws=1)
    assert ref.values_TKD[:, 0].tolist() == [[0, 1, 0], [1, 0, 1]]


def test_an_option_of_another_problem_is_unparsable() -> None:
    ref = elicit_references(problems(PAIRS), Choice(3), ScriptedBackend({"a": ["tea"], "b": ["tea"]}), draws=1)
    assert ref.unparsable == 1
    assert np.isnan(ref.values_TKD[0]).all()


@pytest.mark.parametrize("kind", [Choice(4), Ballot(1, 2, 4), Choice(), Ballot(1, 2)], ids=str)
def test_problems_with_fewer_options_than_the_scale_knows_are_no_matter(kind: ResponseType) -> None:
    ref = elicit_references(problems(PAIRS), kind, ScriptedBackend({"a": ["#1"], "b": ["#2"]}), draws=1)
    most = max(3, getattr(kind, "max_options", 0))
    assert ref.values_TKD.shape == (2, 1, kind.width(most))
    assert ref.summary(kind, most).tolist() == np.eye(most)[:2].tolist()


def test_shares_are_laid_at_their_problem_whatever_the_order_of_answers() -> None:
    shares = {"a": (0.1, 0.2, 0.3, 0.2, 0.2)}
    ref = elicit_references(problems(), FIVE, Shares(shares), draws=1)
    assert ref.mode == "distribution"
    assert ref.distribution_TM is not None
    assert ref.distribution_TM[0].tolist() == list(shares["a"])
    assert np.isnan(ref.distribution_TM[1]).all()


def test_shares_of_fewer_options_are_padded_with_zeros() -> None:
    ref = elicit_references(problems(PAIRS), Choice(3), Shares({"a": (0.4, 0.6), "b": (0.2, 0.3, 0.5)}), draws=1)
    assert ref.distribution_TM is not None
    assert ref.distribution_TM.tolist() == [[0.4, 0.6, 0], [0.2, 0.3, 0.5]]


@pytest.mark.parametrize(
    ("kind", "options", "shares", "words"),
    [
        (FIVE, (), (0.5, 0.5), "gives 2 shares for problem 'a', which has 5 levels"),
        (Choice(3), PAIRS, (0.2, 0.3, 0.5), "gives 3 shares for problem 'a', which has 2 options"),
        (Continuous(), (), (0.5, 0.5), "continuous scale has no levels"),
    ],
)
def test_shares_of_another_number_are_an_error_not_left_out(
    kind: ResponseType, options: tuple[tuple[str, ...], ...], shares: tuple[float, ...], words: str
) -> None:
    with pytest.raises(MismatchError, match=f"'elicited' gives.*{words.removeprefix('gives ')}"):
        elicit_references(problems(options), kind, Shares({"a": shares}), draws=1)


def test_progress_is_told_once_per_problem() -> None:
    told: list[tuple[str, int, int]] = []
    elicit_references(
        problems(),
        FIVE,
        ScriptedBackend(lambda p, k: "1"),
        2,
        progress=lambda what, done, of: told.append((what, done, of)),
    )
    assert told == [("asking for references", 1, 2), ("asking for references", 2, 2)]
