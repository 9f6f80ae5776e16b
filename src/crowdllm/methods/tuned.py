"""`tuned:MODEL`, `prompted:MODEL`, `adapter:FOLDER`: a language model as survey participants (arXiv 2403.20252).

`tuned` tunes the model on the training part, `prompted` takes it as it is, `adapter` takes what `crowdllm tune` made
elsewhere (transfer to another study; on its own study it has seen the test people). All are asked alike: the profile in
words, one question, every possible answer scored. Settings follow a question mark:

    tuned:Qwen/Qwen3-8B?adapter=qlora&gamma=0.5&max_epochs=3        settings of TuneConfig
    tuned:MODEL?temperature=rmse                                    kl (default), rmse, or a number; 0 is greedy
    tuned:MODEL?margins=1                                           each question's shares are those of training
    tuned:MODEL?keep=FOLDER                                         checkpoints and adapters are kept there
    tuned:MODEL?device=cuda:1

Numbers are drawn from the candidates; their log scores are those of the density that spreads each candidate's share
evenly over the values that lie nearest to it.

Margins (`crowdllm.survey_tuning.margins`) are fitted on the training part's own answers, at temperature 1, at which
those questions are then answered; questions that nobody answered there stay as they are, at the temperature for KL.

Shapes: T problems, N participants, R pairs, M levels, options or candidates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from crowdllm.config import TuneConfig, make_config
from crowdllm.data.problems import Problems, widest
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.methods.protocol import Fit, Progress, log_given
from crowdllm.methods.shares import floored
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.reference import References
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.rng import stable_keys, uniforms
from crowdllm.survey_tuning.answers import Shares, answer_shares, draw_answers
from crowdllm.survey_tuning.candidates import require_askable
from crowdllm.survey_tuning.interview import Interview
from crowdllm.survey_tuning.margins import Margins, fit_margins
from crowdllm.survey_tuning.tuned import Tuned

Index = NDArray[np.int64]
ROWS_AT_ONCE = 100_000
OWN = ("temperature", "keep", "device", "margins")
YES_OR_NO = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True)
class Wish:
    """What follows `tuned:`: the model (or folder), settings of the tuning, and how it is asked."""

    model: str
    config: TuneConfig
    temperature: str = "kl"
    keep: str = ""
    device: str = "auto"
    margins: bool = False


@dataclass(frozen=True)
class TunedSimulator:
    """Virtual participants as a row of a comparison.

    temperature: at which their answers are drawn, but for questions with margins. margins: to which answers are
    calibrated; None where they stay as the model says.
    """

    response_type: ResponseType
    tuned: Tuned
    interview: Interview
    temperature: float
    generator: ProfileGenerator
    margins: Margins | None = None

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: Index, problem_R: Index, seed: int,
    ) -> Array:  # fmt: skip
        people, keys = stable_keys(crowd.ids), stable_keys(problems.ids)
        values_R1 = np.empty((len(problem_R), 1))
        for rows in _by_problem(problem_R):
            i, t = participant_R[rows], problem_R[rows]
            noise = uniforms(seed, "survey participants", people[i], keys[t])[:, 0]
            values_R1[rows] = draw_answers(self.shares(problems, crowd, i, t), 1.0, noise)
        return values_R1

    def shares(self, problems: Problems, people: Profiles, participant_R: Index, problem_R: Index) -> Shares:
        """What each pair's answer is drawn from: the model at the row's temperature, or at 1 with the margins."""
        found = answer_shares(self.tuned, self.interview, problems, people, participant_R, problem_R)
        tempered = found.tempered(self.temperature)
        if self.margins is None:
            return tempered
        known_R1 = self.margins.known(problems, problem_R)[:, None]
        mixed = replace(found, log_p_RM=np.where(known_R1, found.log_p_RM, tempered.log_p_RM))
        return self.margins.apply(mixed, problems, problem_R)

    def level_probabilities(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        if isinstance(self.response_type, Continuous):
            return None
        shares = self.shares(problems, people, responses.participant_R, responses.problem_R)
        p_RM = shares.at(1.0)
        most = self.response_type.summary_width(widest(problems, self.response_type))
        p_RM = np.pad(p_RM, [(0, 0), (0, most - p_RM.shape[1])])
        return floored(p_RM, problems.option_counts[responses.problem_R])

    def log_scores(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        if isinstance(self.response_type, Continuous):
            shares = self.shares(problems, people, responses.participant_R, responses.problem_R)
            return _log_density(shares, 1.0, responses.values_RD[:, 0], self.response_type)
        return log_given(self.level_probabilities(problems, references, people, responses, seed), responses)


def _by_problem(problem_R: Index) -> list[Index]:
    """The rows in parts of whole problems, so that people with one profile are still asked once."""
    order = np.argsort(problem_R, kind="stable")
    ends = np.flatnonzero(np.diff(problem_R[order])) + 1
    parts, start = [], 0
    for before, end in zip([0, *ends.tolist()], [*ends.tolist(), len(order)], strict=True):
        if end - start > ROWS_AT_ONCE and before > start:
            parts.append(order[start:before])
            start = before
    return [*parts, order[start:]] if len(order) > start else parts


def _log_density(shares: Shares, temperature: float, value_R: Array, kind: Continuous) -> Array:
    """(R,) log density at each number: the share of the nearest candidate over the length of what is nearest to it.

    At an open end that length is twice the way to the next candidate; numbers beyond it have the density of the end.
    """
    p_RM = shares.at(temperature)
    out_R = np.empty(len(value_R))
    for r, value in enumerate(value_R):
        count = int((~np.isnan(shares.values_RM[r])).sum())
        at = shares.values_RM[r, :count]
        middle = (at[1:] + at[:-1]) / 2
        low = kind.low if kind.low is not None else (2 * at[0] - middle[0] if count > 1 else at[0] - 0.5)
        high = kind.high if kind.high is not None else (2 * at[-1] - middle[-1] if count > 1 else at[-1] + 0.5)
        edges = np.array([min(low, at[0]), *middle, max(high, at[-1])])
        length = np.maximum(np.diff(edges), 1e-9)
        even = length / length.sum()
        share = 0.999 * p_RM[r, :count] + 0.001 * even  # as shares of levels are mixed, so that none is 0
        nearest = int(np.clip(np.searchsorted(middle, value), 0, count - 1))
        out_R[r] = math.log(share[nearest] / length[nearest])
    return out_R


def tuned(argument: str) -> Fit:
    """`tuned:ARGUMENT`; raises ConfigError for an argument that names no model or has an unknown setting."""
    wish = read_wish("tuned", argument)

    def fit(
        train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
    ) -> TunedSimulator:
        from crowdllm.survey_tuning.run_state import study_digest
        from crowdllm.survey_tuning.tuning import tune

        require_askable(train.response_type)
        out = Path(wish.keep) / f"{study_digest([train])[:16]}-{seed}" if wish.keep else None
        found = tune([train], wish.model, wish.config, seed, out, device=wish.device, progress=progress)
        return simulator(found, train, wish.temperature, seed, wish.margins)

    return fit


def prompted(argument: str) -> Fit:
    """`prompted:ARGUMENT`: the pre-trained model in persona; raises as `tuned`."""
    wish = read_wish("prompted", argument)

    def fit(
        train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
    ) -> TunedSimulator:
        from crowdllm.survey_tuning.tuned import untuned

        require_askable(train.response_type)
        return simulator(
            untuned(wish.model, wish.config, [train], wish.device), train, wish.temperature, seed, wish.margins
        )

    return fit


def adapter(argument: str) -> Fit:
    """`adapter:FOLDER`: a model that was tuned before; raises as `tuned`."""
    wish = read_wish("adapter", argument)

    def fit(
        train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
    ) -> TunedSimulator:
        from crowdllm.survey_tuning.artifact import load_tuned

        require_askable(train.response_type)
        return simulator(load_tuned(wish.model, device=wish.device), train, wish.temperature, seed, wish.margins)

    return fit


def simulator(found: Tuned, train: Study, temperature: str, seed: int, margins: bool = False) -> TunedSimulator:
    """The row of a model in memory. temperature: "kl" or "rmse" for the calibrated ones, or a number.

    margins: whether answers are calibrated to the shares of each question among the training people.
    """
    chosen = {"kl": found.temperature_kl, "rmse": found.temperature_rmse}
    value = chosen[temperature] if temperature in chosen else float(temperature)
    recruiter = ProfileGenerator.fit(train.profiles, train.relative_weights_N, seed)
    row = TunedSimulator(train.response_type, found, found.interview(train), value, recruiter)
    if not margins:
        return row
    answers, asked = train.responses, (train.responses.participant_R, train.responses.problem_R)
    shares = answer_shares(found, row.interview, train.problems, train.profiles, *asked)
    return replace(row, margins=fit_margins(shares, train.problems, answers))


def read_wish(method: str, argument: str) -> Wish:
    """The parts of `MODEL?setting=value&...`."""
    model, _, query = argument.partition("?")
    if not model.strip():
        raise ConfigError(
            f"the method {method!r} needs a model: write {method}:NAME, with a name on the Hugging Face Hub or a folder"
        )
    given = _settings(query, method)
    own = {key: given.pop(key) for key in OWN if key in given}
    settings = {key: tuple(v.split("|")) if key == "profile_columns" else v for key, v in given.items()}
    margins = _yes_or_no("margins", own.pop("margins", "0"))
    temperature = own.pop("temperature", "kl")
    _require_temperature(temperature, margins)
    return Wish(model, make_config(TuneConfig, settings), temperature, margins=margins, **own)


def _settings(query: str, method: str) -> dict[str, str]:
    """What is set after the question mark; raises for names that are unknown or stand there twice."""
    known, given = (*TuneConfig.model_fields, *OWN), dict[str, str]()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise UnknownNameError("setting", name, known)
        if name in given:
            raise ConfigError(f"the method {method!r} has the setting {name!r} twice: {given[name]!r} and {value!r}")
        given[name] = value
    return given


def _yes_or_no(name: str, value: str) -> bool:
    if value.lower() not in YES_OR_NO:
        raise ConfigError(f"{name}={value!r} must be 1 (yes) or 0 (no)")
    return YES_OR_NO[value.lower()]


def _require_temperature(temperature: str, margins: bool) -> None:
    """Raise ConfigError for a temperature that is none, or that questions with margins would not have."""
    try:
        value = 1.0 if temperature in ("kl", "rmse") else float(temperature)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise ConfigError(f"temperature={temperature!r} must be kl, rmse or a number of at least 0")
    if margins and (temperature == "rmse" or value != 1):
        raise ConfigError(
            f"margins=1 holds at temperature 1, which temperature={temperature!r} contradicts: leave one of them out "
            "(kl is that of questions without margins)"
        )
