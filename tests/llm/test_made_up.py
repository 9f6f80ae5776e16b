"""Made-up answers: always legal, the same for the same draw of the same prompt, and no two prompts alike."""

from __future__ import annotations

import pytest

from crowdllm.llm.made_up import made_up_answers
from crowdllm.llm.prompts.distribution import parse_distribution
from crowdllm.llm.protocol import Prompt
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking

OPTIONS = ("a", "b", "c", "d")
KINDS: list[ResponseType] = [
    Ordinal(("never", "at times", "always")),
    Continuous(),
    Continuous(0.0, 0.001),
    Continuous(high=-5.0),
    Choice(4),
    Ballot(0, 3, 4),
    Ballot(2, 9, 4),
    Points(30, 10, 4),
    Ranking(2, 4),
    Ranking(0, 4),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_answer_is_legal_and_they_differ(kind: ResponseType) -> None:
    prompt = Prompt("q", "Which?", OPTIONS if kind.has_options else ())
    answer, crowd = made_up_answers(kind), made_up_answers(kind, distribution=True)
    texts = [answer(prompt, k) for k in range(40)]
    for k, text in enumerate(texts):
        kind.parse(text, prompt.options)  # raises for what is not legal
        parse_distribution(crowd(prompt, k), kind, prompt.options)
    assert len(set(texts)) > 1
    assert [answer(prompt, k) for k in range(40)] == texts
    assert [answer(Prompt("q", "Other?", prompt.options), k) for k in range(40)] != texts
