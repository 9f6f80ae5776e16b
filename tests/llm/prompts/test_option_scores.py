"""Prompts whose answers are scored: one short label per level or option, in their order."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.data.problems import Problems
from crowdllm.errors import MismatchError
from crowdllm.llm.prompts.option_scores import answer_labels, option_score_prompts
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking


def problems(*options: tuple[str, ...]) -> Problems:
    names = np.array([f"q{t}" for t in range(max(len(options), 1))], dtype=object)
    return Problems(names, names, options)


@pytest.mark.parametrize(
    ("levels", "labels"),
    [
        (("1", "2", "3"), ("1", "2", "3")),
        (("-1", "0", "1"), ("A", "B", "C")),
        (("never", "always"), ("A", "B")),
        (tuple(str(n) for n in range(1, 11)), tuple("ABCDEFGHIJ")),
    ],
)
def test_levels_of_one_character_are_their_own_labels(levels: tuple[str, ...], labels: tuple[str, ...]) -> None:
    assert answer_labels(Ordinal(levels), ()) == labels


def test_the_prompt_lists_labels_with_levels_and_what_the_ends_mean() -> None:
    kind = Ordinal(("-1", "0", "1"), ends=("bad", "good"))
    (prompt,) = option_score_prompts(problems(), kind)
    assert prompt.answers == ("A", "B", "C")
    assert "A: -1 (bad)\nB: 0\nC: 1 (good)" in prompt.text
    assert prompt.text.splitlines()[-1] == "Answer with A, B or C alone."


@pytest.mark.parametrize(("kind", "words"), [(Choice(3), "do you choose"), (Ballot(2, 2, 3), "choose first")])
def test_options_are_labelled_by_letters_per_problem(kind: ResponseType, words: str) -> None:
    prompts = option_score_prompts(problems(("tea", "milk\nX: poison"), ("a", "b", "c")), kind)
    assert [prompt.answers for prompt in prompts] == [("A", "B"), ("A", "B", "C")]
    assert "A: tea\nB: milk X: poison\n" in prompts[0].text
    assert words in prompts[0].text


@pytest.mark.parametrize("kind", [Continuous(), Points(10, 1, 3), Ranking(0, 3)])
def test_types_without_a_list_of_answers_name_the_other_modes(kind: ResponseType) -> None:
    with pytest.raises(MismatchError, match=f"{kind.kind}.*--mode samples.*--mode distribution"):
        option_score_prompts(problems(("a", "b", "c")), kind)


def test_more_options_than_letters_name_the_other_modes() -> None:
    with pytest.raises(MismatchError, match="27 options.*26.*--mode samples"):
        option_score_prompts(problems(tuple(f"o{i}" for i in range(27))), Choice(27))
