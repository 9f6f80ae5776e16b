"""Answers as the model writes them, without a list of possible ones: extracted from the text, failures counted.

For comparison with scoring the candidates, which never fails. Sampling is that of `crowdllm.llm.draws`, with noise
keyed by (seed, participant, problem).

Shapes: R pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.errors import UnparsableAnswerError
from crowdllm.llm.causal_lm import prefill
from crowdllm.llm.draws import write_texts
from crowdllm.responses.answer_text import read_answer
from crowdllm.rng import stable_keys, uniforms
from crowdllm.survey_tuning.candidates import Candidates
from crowdllm.survey_tuning.cells import prompt_tokens
from crowdllm.survey_tuning.interview import Interview
from crowdllm.survey_tuning.tuned import Tuned

Array = NDArray[np.float64]
Index = NDArray[np.int64]
BATCH = 16


@dataclass(frozen=True)
class Written:
    """texts: R answers as written; values_R1: the responses read from them, NaN where none could be."""

    texts: tuple[str, ...]
    values_R1: Array

    @property
    def failure_rate(self) -> float:
        """The share of texts that are no legal answer; NaN for no texts."""
        return float(np.isnan(self.values_R1[:, 0]).mean()) if len(self.texts) else float("nan")


def free_texts(
    tuned: Tuned,
    interview: Interview,
    problems: Problems,
    people: Profiles,
    person_R: Index,
    problem_R: Index,
    temperature: float = 1.0,
    seed: int = 0,
    max_tokens: int = 16,
) -> Written:
    """Let the model write an answer for each pair, and read it. Raises as `answer_shares`."""
    prompts, prompt_R = interview.prompts(problems, people, person_R, problem_R)
    tokens = [prompt_tokens(tuned.model, prompt) for prompt in prompts]
    noise_RS = uniforms(
        seed, "written answers", stable_keys(people.ids)[person_R], stable_keys(problems.ids)[problem_R], max_tokens
    )
    model = tuned.model
    model.lm.model.eval()
    texts: list[str] = []
    for start in range(0, len(prompt_R), BATCH):
        rows = np.arange(start, min(start + BATCH, len(prompt_R)))
        different, place = np.unique(prompt_R[rows], return_inverse=True)
        prefilled = prefill(model.lm, [tokens[p] for p in different])
        for written in write_texts(prefilled, place.tolist(), noise_RS[rows], temperature, model.stop):
            body = [] if written is None else [t for t in written if t not in model.stop]
            texts.append(str(model.prompt.tokenizer.decode(body, skip_special_tokens=True)))
    possible = {t: interview.candidates(problems, t) for t in np.unique(problem_R).tolist()}
    values = [
        _read(interview, text, possible[t], problems.options[t])
        for text, t in zip(texts, problem_R.tolist(), strict=True)
    ]
    return Written(tuple(texts), np.array(values, dtype=float).reshape(-1, 1))


def _read(interview: Interview, text: str, possible: Candidates, options: tuple[str, ...]) -> float:
    """The response in a text: the label or level that was asked for, else as any other LLM's answer is read; NaN."""
    labels = {label.casefold(): value for label, value in zip(possible.texts, possible.values, strict=True)}

    def label(form: str) -> Array:
        if form.strip().casefold() not in labels:
            raise UnparsableAnswerError(form, ", ".join(possible.texts))
        return np.array([labels[form.strip().casefold()]])

    readers = (
        lambda: read_answer(text, "rating|choice", label, ""),
        lambda: interview.response_type.parse(text, options),
    )
    for read in readers:
        try:
            return float(read()[0])
        except UnparsableAnswerError:
            continue
    return float("nan")
