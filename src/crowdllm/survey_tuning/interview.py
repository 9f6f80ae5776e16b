"""How the people of one study are asked: the profile in words, one question, the possible answers.

The words are the templates of `crowdllm.llm.prompts`: `multi-persona` for a person, `zero-shot` for a question without
a profile; a study may bring its own. Profiles, texts and options are data: fenced, and neutral to chat templates.
With labels, the prompt without a profile is that of `crowdllm references --mode options` to the letter, so that a tuned
model can be asked for references.

Shapes: N people, T problems, R pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.config import TuneConfig
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError, UnknownNameError
from crowdllm.llm.prompts.fence import between_fences, fenced
from crowdllm.llm.prompts.multi_persona import profile_in_words
from crowdllm.llm.prompts.template import DEFAULTS, Template
from crowdllm.llm.protocol import Prompt
from crowdllm.responses import response_type_from_dict
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.protocol import ResponseType
from crowdllm.survey_tuning.candidates import Candidates, candidates, instructions, require_askable, thinned

Index = NDArray[np.int64]
PERSON, NOBODY = "multi-persona", "zero-shot"
EVERY = ""  # in `numbers`: for problems that nobody has answered


@dataclass(frozen=True)
class Interview:
    """How a study is asked.

    told: names of the profile columns in the prompts; templates: of the kinds multi-persona and zero-shot.
    numbers: candidates of continuous responses by problem id, and under "" those for other problems.
    """

    response_type: ResponseType
    told: tuple[str, ...]
    context: str = ""
    requirements: str = ""
    answer_form: str = "labels"
    templates: Mapping[str, Template] = field(default_factory=lambda: DEFAULTS)
    numbers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def candidates(self, problems: Problems, t: int) -> Candidates:
        """The possible answers to problem t; raises MismatchError where no number is known to be one."""
        numbers = self.numbers.get(str(problems.ids[t]), self.numbers.get(EVERY, ()))
        found = candidates(self.response_type, self.answer_form, problems.options[t], numbers)
        if not len(found):
            raise MismatchError(
                f"problem {problems.ids[t]!r} has no possible answers: it has no options, or no number was given "
                "by anybody in training"
            )
        return found

    def prompts(
        self, problems: Problems, people: Profiles | None, person_R: Index, problem_R: Index
    ) -> tuple[list[Prompt], Index]:
        """The different prompts of these pairs, and (R,) which of them each pair has.

        people: None to ask without a profile (person_R then plays no part).
        Raises UnknownNameError where the people lack a column.
        """
        words, who_N = self._words(people)
        asked: dict[tuple[int, int], int] = {}
        prompts: list[Prompt] = []
        index_R = np.empty(len(problem_R), dtype=np.int64)
        items: dict[int, dict[str, str]] = {}
        for r, (n, t) in enumerate(zip(person_R.tolist(), problem_R.tolist(), strict=True)):
            key = (int(who_N[n]) if people is not None else 0, t)
            if key not in asked:
                asked[key] = len(prompts)
                values = items.setdefault(t, self._item(problems, t))
                prompts.append(self._prompt(problems, t, values, words[key[0]] if people is not None else None))
            index_R[r] = asked[key]
        return prompts, index_R

    def _words(self, people: Profiles | None) -> tuple[list[str], Index]:
        """The different descriptions, and (N,) which of them each person has."""
        if people is None:
            return [], np.zeros(0, dtype=np.int64)
        places = [people.position(name) for name in self.told]
        shown = Profiles(tuple(people.columns[c] for c in places), people.ids, people.values_NC[:, places])
        found: dict[str, int] = {}
        known: dict[bytes, int] = {}
        who_N = np.empty(len(people), dtype=np.int64)
        for n, row in enumerate(np.ascontiguousarray(shown.values_NC)):
            key = row.tobytes()
            if key not in known:
                known[key] = found.setdefault(profile_in_words(shown, n), len(found))
            who_N[n] = known[key]
        return list(found), who_N

    def _item(self, problems: Problems, t: int) -> dict[str, str]:
        return {
            "context": fenced(self.context.strip()),
            "requirements": fenced(self.requirements.strip()),
            "item": between_fences(str(problems.texts[t])),
            "instructions": fenced(instructions(self.response_type, self.answer_form, problems.options[t])),
        }

    def _prompt(self, problems: Problems, t: int, values: dict[str, str], profile: str | None) -> Prompt:
        template = self.templates[NOBODY if profile is None else PERSON]
        text = template.fill(values if profile is None else values | {"profile": profile})
        answers = () if isinstance(self.response_type, Continuous) else self.candidates(problems, t).texts
        return Prompt(str(problems.ids[t]), text, problems.options[t], answers=answers)

    def to_dict(self) -> dict[str, Any]:
        return {
            "response_type": self.response_type.to_dict(),
            "told": list(self.told),
            "context": self.context,
            "requirements": self.requirements,
            "answer_form": self.answer_form,
            "templates": {kind: self.templates[kind].text for kind in (PERSON, NOBODY)},
            "numbers": {key: list(value) for key, value in self.numbers.items()},
        }

    @staticmethod
    def from_dict(settings: Mapping[str, Any]) -> Interview:
        return Interview(
            response_type_from_dict(settings["response_type"]),
            tuple(settings["told"]),
            settings["context"],
            settings["requirements"],
            settings["answer_form"],
            {kind: Template(kind, text) for kind, text in settings["templates"].items()},
            {key: tuple(value) for key, value in settings["numbers"].items()},
        )


def make_interview(study: Study, config: TuneConfig, templates: Mapping[str, Template] = DEFAULTS) -> Interview:
    """How this study is asked; numbers that may be answers are taken from its responses.

    Raises MismatchError for ballots, points and rankings, UnknownNameError for a profile column that is not there.
    """
    require_askable(study.response_type)
    names = [column.name for column in study.profiles.columns]
    for name in config.profile_columns:
        if name not in names:
            raise UnknownNameError("profile column", name, names)
    told = tuple(name for name in names if not config.profile_columns or name in config.profile_columns)
    return Interview(
        study.response_type,
        told,
        study.context,
        study.requirements,
        config.answer_form,
        {kind: templates[kind] for kind in (PERSON, NOBODY)},
        _numbers(study, config.most_candidates),
    )


def _numbers(study: Study, most: int) -> dict[str, tuple[float, ...]]:
    if not isinstance(study.response_type, Continuous):
        return {}
    responses = study.responses
    given = {
        str(study.problems.ids[t]): responses.values_RD[responses.problem_R == t, 0]
        for t in np.unique(responses.problem_R)
    }
    found = {identity: thinned(numbers, most) for identity, numbers in given.items()}
    return found | ({EVERY: thinned(responses.values_RD[:, 0], most)} if len(responses) else {})
