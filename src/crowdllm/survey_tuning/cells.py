"""Training answers in tokens: the different prompts ("cells"), and how often each answer was given to each of them.

People with the same profile have the same prompt, which is run once for all of them. Cells with the same possible
answers belong to one `AnswerSet`; a batch is made of cells of one set, so that its tree of answers is small.

An answer's tokens end with the token that ends a turn, where the tokenizer has one: the model learns where to stop, and
no answer can begin another ("1" and "10" are different from their first differing token on). With `answer_end` off this
token is left out of levels and options where none begins another: fewer tokens are run, and nothing else changes in
the answers that are scored, but a model tuned so does not know where to stop when it writes.

Cells without a profile carry `without_profile` times the weight of all answers to their problem.

Shapes: C cells, A different (cell, answer) pairs, M answers of a set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crowdllm.config import TuneConfig
from crowdllm.data.study import Study
from crowdllm.data.tables import number_text
from crowdllm.errors import MismatchError
from crowdllm.llm.local_model import LocalModel
from crowdllm.llm.option_scores import Tokens
from crowdllm.llm.protocol import Prompt
from crowdllm.responses.continuous import Continuous
from crowdllm.survey_tuning.candidates import Candidates
from crowdllm.survey_tuning.interview import Interview

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class AnswerSet:
    """Possible answers in tokens. The first `candidates` of the M are those among which distributions are computed;
    the others are numbers that somebody gave. points: (M,) what each counts as; empty for options."""

    tokens: tuple[Tokens, ...]
    points: tuple[float, ...]
    candidates: int

    @cached_property
    def on_scale(self) -> bool:
        return bool(self.points)

    @cached_property
    def span(self) -> float:
        """The distance between the lowest and the highest candidate; the unit of distances in a loss."""
        points = np.array(self.points[: self.candidates])
        return float(points.max() - points.min()) or 1.0

    @cached_property
    def nearest(self) -> Index:
        """(M,) the candidate that each answer counts as in a distribution: itself, or the nearest number."""
        own, points = np.arange(len(self.tokens)), np.array(self.points)
        if len(points) > self.candidates:
            gap = np.abs(points[self.candidates :, None] - points[: self.candidates])
            own[self.candidates :] = gap.argmin(axis=1)
        return own


@dataclass(frozen=True)
class Cells:
    """C prompts in tokens; set_C says which answer set is theirs.

    cell_A, answer_A, weight_A: how many people (what survey weight) gave which answer to which prompt; sorted by cell.
    people_C: how many answers stand behind a cell.
    """

    prompts: tuple[Tokens, ...]
    sets: tuple[AnswerSet, ...]
    set_C: Index
    cell_A: Index
    answer_A: Index
    weight_A: Array
    people_C: Index

    def __len__(self) -> int:
        return len(self.prompts)

    @cached_property
    def first_C(self) -> Index:
        """(C + 1,) where each cell's rows begin in cell_A."""
        return np.searchsorted(self.cell_A, np.arange(len(self) + 1))

    def counts(self, rows: Index, width: int) -> Array:
        """(B, M) the weight of every answer of these cells."""
        out = np.zeros((len(rows), width))
        for b, c in enumerate(rows.tolist()):
            part = slice(self.first_C[c], self.first_C[c + 1])
            out[b, self.answer_A[part]] = self.weight_A[part]
        return out


def prompt_tokens(model: LocalModel, prompt: Prompt) -> Tokens:
    """A prompt in tokens; raises MismatchError where its text would forge a marker of the chat template."""
    ids = model.prompt.ids(prompt.system, prompt.text)
    if forged := model.prompt.forged(ids, bool(prompt.system)):
        raise MismatchError(
            f"problem {prompt.problem_id!r}: the prompt would forge markers of the chat template ({forged[0]}); "
            "take them out of the texts"
        )
    return tuple(ids)


def end_of_answer(model: LocalModel) -> Tokens:
    """The token that ends an answer; none where the tokenizer has none."""
    own = model.prompt.end_of_turn or [model.prompt.tokenizer.eos_token_id]
    return tuple(int(i) for i in own if i is not None)


def answer_set(model: LocalModel, possible: Candidates, further: Sequence[float] = (), ended: bool = True) -> AnswerSet:
    """The possible answers in tokens. further: numbers that were given and are no candidates. ended: whether the token
    that ends an answer is added even where no answer begins another.

    Raises MismatchError where two answers are the same tokens.
    """
    texts = (*possible.texts, *map(number_text, further))
    bare = [tuple(model.prompt.answer_ids(text)) for text in texts]
    begun = {tokens[:k] for tokens in bare for k in range(len(tokens))}
    end = end_of_answer(model) if ended or not begun.isdisjoint(bare) else ()
    tokens = tuple((*answer, *end) for answer in bare)
    if len(set(tokens)) < len(tokens) or not all(len(t) > len(end) for t in tokens):
        raise MismatchError(f"the tokenizer cannot tell the answers {', '.join(texts[:6])} apart")
    return AnswerSet(tokens, (*possible.points, *further), len(possible))


def make_cells(
    studies: Sequence[tuple[Study, Interview]], model: LocalModel, config: TuneConfig, nameless: bool = True
) -> Cells:
    """All answers of these studies. nameless: with cells without a profile (see the module).

    Raises MismatchError for prompts that are too long or forge markers, and where nobody answered.
    """
    builder = _Builder(model)
    for study, interview in studies:
        _add(builder, study, interview, config.without_profile if nameless else 0.0, ended(interview, config))
    if not builder.prompts:
        raise MismatchError("there are no answers to learn from")
    return builder.cells()


def ended(interview: Interview, config: TuneConfig) -> bool:
    """Whether answers have the token that ends them; numbers always do, since one may begin another."""
    return config.answer_end or isinstance(interview.response_type, Continuous)


def _add(builder: _Builder, study: Study, interview: Interview, without_profile: float, ended: bool) -> None:
    responses = study.responses
    value_R = responses.values_RD[:, 0] if len(responses) else np.zeros(0)
    sets: dict[int, tuple[int, dict[float, int]]] = {}
    for t in np.unique(responses.problem_R).tolist():
        possible = interview.candidates(study.problems, t)
        others = sorted(set(value_R[responses.problem_R == t].tolist()) - set(possible.values))
        answers = answer_set(builder.model, possible, others, ended)
        places = {value: m for m, value in enumerate((*possible.values, *others))}
        sets[t] = builder.set_number(answers), places
    answer_R = np.array([sets[t][1][v] for t, v in zip(responses.problem_R.tolist(), value_R.tolist(), strict=True)])
    for people, weight in ((study.profiles, 1.0), (None, without_profile)):
        if weight > 0 and len(responses):
            prompts, cell_R = interview.prompts(study.problems, people, responses.participant_R, responses.problem_R)
            problem_of = {int(c): int(t) for c, t in zip(cell_R, responses.problem_R, strict=True)}
            numbers = [builder.add(prompt, sets[problem_of[c]][0]) for c, prompt in enumerate(prompts)]
            each_R = np.ones(len(responses)) if responses.weight_R is None else responses.weight_R
            builder.count(np.array(numbers)[cell_R], answer_R, weight * each_R)


class _Builder:
    """Collects cells and counts of several studies."""

    def __init__(self, model: LocalModel) -> None:
        self.model = model
        self.prompts: list[Tokens] = []
        self.set_of: list[int] = []
        self.sets: list[AnswerSet] = []
        self.places: dict[AnswerSet, int] = {}
        self.rows: list[tuple[Index, Index, Array]] = []

    def set_number(self, answers: AnswerSet) -> int:
        if answers not in self.places:
            self.places[answers] = len(self.sets)
            self.sets.append(answers)
        return self.places[answers]

    def add(self, prompt: Prompt, number: int) -> int:
        ids = prompt_tokens(self.model, prompt)
        require_room(self.model, prompt, len(ids), self.sets[number])
        self.prompts.append(ids)
        self.set_of.append(number)
        return len(self.prompts) - 1

    def count(self, cell_R: Index, answer_R: Index, weight_R: Array) -> None:
        self.rows.append((cell_R, answer_R, weight_R))

    def cells(self) -> Cells:
        cell, answer, weight = (np.concatenate(parts) for parts in zip(*self.rows, strict=True))
        pairs, inverse = np.unique(np.stack([cell, answer], axis=1), axis=0, return_inverse=True)
        return Cells(
            tuple(self.prompts),
            tuple(self.sets),
            np.array(self.set_of, dtype=np.int64),
            pairs[:, 0],
            pairs[:, 1],
            np.bincount(inverse.reshape(-1), weights=weight).astype(float),
            np.bincount(cell, minlength=len(self.prompts)),
        )


def require_room(model: LocalModel, prompt: Prompt, length: int, answers: AnswerSet) -> None:
    """Raise MismatchError where a prompt of this many tokens and its answers exceed the model's context."""
    longest = max(len(tokens) for tokens in answers.tokens)
    if model.context and length + longest > model.context:
        raise MismatchError(
            f"problem {prompt.problem_id!r}: the prompt's {length} tokens and {longest} for the answer are more than "
            f"the {model.context} of the model's context: shorten the text, or the profile (setting profile_columns)"
        )
