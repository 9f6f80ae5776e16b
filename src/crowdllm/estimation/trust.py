"""How far a crowd can be trusted on a study, besides its intervals: error terms, gate, subgroups, mix of people.

People are dealt into folds; a crowd is fitted without those of a fold and judged by them, so no answer is judged by a
crowd that has seen it. (The problems are seen: this is about problems with some human answers.) With `new_people` the
given model is judged as it is, and nothing is fitted. Survey weights count in all of it: the crowd of a weighted study
speaks for the population that the weights stand for, and so must the people whom it is held against.

Shapes: N people, T problems, K folds, R responses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.estimation.bare_llm import bare_llm
from crowdllm.estimation.cross_fit import fold_of
from crowdllm.estimation.extrapolation import MixReport, compare_mix
from crowdllm.estimation.gate import CROWD, LLM, OPEN, GateInput, GateReport, gate, kappa_alpha
from crowdllm.estimation.gate_input import answer_groups, gate_input
from crowdllm.estimation.human_noise import HumanNoise
from crowdllm.estimation.known_answers import errors_from_others
from crowdllm.estimation.risk import RiskReport, decompose_risk
from crowdllm.estimation.subgroup_trust import SubgroupTrust, overconfident, trust_frame
from crowdllm.estimation.twin_pairs import TwinPairs, fitted_items, twin_pairs
from crowdllm.evaluation.histograms import is_scale, mean_decisions
from crowdllm.methods.crowdllm import CrowdSimulator
from crowdllm.reference import References
from crowdllm.rng import seed_words
from crowdllm.simulation.groups import subgroups
from crowdllm.simulation.run import as_study, simulate_crowd

Progress = Callable[[str, int, int], None]
FEW_PROBLEMS = 20
CROWD_SIZE = 200
RECRUITS = 2000


@dataclass(frozen=True)
class TrustSettings:
    """folds: of the people. noise: what is known of human noise, None for nothing.

    new_people: the model has seen none of these people.
    """

    folds: int = 2
    seed: int = 0
    level: float = 0.95
    noise: HumanNoise | None = None
    new_people: bool = False


@dataclass(frozen=True)
class Trust:
    """gate: None without a bare LLM, or for responses that are no scale. subgroups: empty for those.

    notes: warnings and what could not be had, in sentences.
    """

    risk: RiskReport
    gate: GateReport | None
    subgroups: tuple[SubgroupTrust, ...]
    mix: MixReport
    notes: tuple[str, ...]


def check_trust(
    study: Study,
    model: CrowdModel,
    references: References | None = None,
    settings: TrustSettings | None = None,
    progress: Progress | None = None,
) -> Trust:
    """Judge crowds like the given one by people whom they have not seen.

    references: for the study's problems, as the model was fitted with. Raises ConfigError for too few people, and what
    fitting raises.
    """
    chosen = settings or TrustSettings()
    judged = list(_judged(study, model, references, chosen, progress))
    scale = is_scale(study.response_type)
    bare = bare_llm(references, study.response_type, study.problems) if references is not None else None
    twins = [(own, twin_pairs(crowd, part, references, seed=chosen.seed)) for own, part, crowd in judged]
    over = "people" if len(study.responses.answered) < FEW_PROBLEMS else "both"
    noise = chosen.noise or _bounded_noise(judged, references, chosen.seed, scale)
    risk = decompose_risk(_joined_pairs(study, twins), bare, noise, over, level=chosen.level, seed=chosen.seed)
    found, rows = None, tuple[SubgroupTrust, ...]()
    if scale:
        rows = _subgroups(study, model, references, judged, chosen)
        found = None if references is None else _gate(study, references, judged, chosen)
    recruits = model.recruit(RECRUITS, chosen.seed)
    mix = compare_mix(study.profiles, recruits, subgroups(model.generator), weight_N=study.relative_weights_N)
    notes = _notes(risk, found, rows, mix, scale, references)
    if chosen.new_people:
        notes.append("the mix of people is compared with that of the study's people, whom the model has not seen")
    return Trust(risk, found, rows, mix, tuple(notes))


Judged = tuple[NDArray[np.int64], Study, CrowdModel]


def _judged(
    study: Study, model: CrowdModel, references: References | None, chosen: TrustSettings, progress: Progress | None
) -> list[Judged]:
    """(people, their part of the study, a crowd that has not seen them) for every fold."""
    problems, people = np.arange(len(study.problems)), np.arange(len(study.profiles))
    if chosen.new_people:
        return [(people, study, model)]
    answered = len(study.responses.people)
    if chosen.folds < 2 or answered < 2 * chosen.folds:
        raise ConfigError(
            f"judging a crowd in {chosen.folds} folds needs at least two folds and two people in each; "
            f"{answered} people answered"
        )
    fold_N = fold_of(len(people), chosen.folds, chosen.seed, "trust")
    out = []
    for k in range(chosen.folds):
        if progress:
            progress("fitting crowds to be judged", k, chosen.folds)
        own = people[fold_N == k]
        crowd = fit_crowd(study.subset(problems, people[fold_N != k]), references, model.config, chosen.seed)
        out.append((own, study.subset(problems, own), crowd))
    return out


def _bounded_noise(judged: list[Judged], references: References | None, seed: int, scale: bool) -> HumanNoise:
    """Bounded by how well answers are predicted from the same person's other answers, on a scale."""
    if not scale:
        return HumanNoise()
    errors = [errors_from_others(crowd, part, references, seed) for _, part, crowd in judged]
    weights = [
        np.ones(len(part.responses)) if part.responses.weight_R is None else part.responses.weight_R
        for _, part, _ in judged
    ]
    return HumanNoise(at_most=float(np.average(np.concatenate(errors), weights=np.concatenate(weights))))


def _joined_pairs(study: Study, parts: list[tuple[NDArray[np.int64], TwinPairs]]) -> TwinPairs:
    """All folds' people and twins on the same problems."""
    person_R = np.concatenate([own[p.person_R] for own, p in parts])
    return TwinPairs(
        person_R,
        np.concatenate([p.problem_R for _, p in parts]),
        np.concatenate([p.human_RD for _, p in parts]),
        np.concatenate([p.twin_JRD for _, p in parts], axis=1),
        len(study.profiles),
        len(study.problems),
        None if study.relative_weights_N is None else study.relative_weights_N[person_R],
    )


def _gate(study: Study, references: References, judged: list[Judged], chosen: TrustSettings) -> GateReport:
    """The gate over all folds, by what the LLM answers."""
    parts = [gate_input(CrowdSimulator(crowd), part, references, CROWD_SIZE, chosen.seed) for _, part, crowd in judged]
    stacked = _stacked_gate(parts, [own for own, _, _ in judged])
    people_T = mean_decisions(study.responses, study.response_type, len(study.problems))
    bound = kappa_alpha(people_T - parts[0].reference_T, 1 - chosen.level)
    return gate(stacked, answer_groups(references, study) * len(parts), 1 - chosen.level, chosen.level, bound)


def _stacked_gate(parts: list[GateInput], people: list[NDArray[np.int64]]) -> GateInput:
    """The folds' problems one below the other: each has its own crowd and its own people."""
    count = len(parts[0].crowd_T)

    def joined(name: str) -> NDArray[np.float64]:
        return np.concatenate([getattr(p, name) for p in parts])

    return GateInput(
        person_R=np.concatenate([own[p.person_R] for own, p in zip(people, parts, strict=True)]),
        problem_R=np.concatenate([p.problem_R + k * count for k, p in enumerate(parts)]),
        human_R=joined("human_R"),
        crowd_T=joined("crowd_T"),
        second_T=joined("second_T"),
        noise_T=joined("noise_T"),
        reference_T=joined("reference_T"),
        randomness_T=joined("randomness_T"),
        reference_noise_T=joined("reference_noise_T"),
        size=parts[0].size,
        same_T=np.tile(np.arange(count), len(parts)),
        weight_R=None if parts[0].weight_R is None else joined("weight_R"),
    )


def _subgroups(
    study: Study, model: CrowdModel, references: References | None, judged: list[Judged], chosen: TrustSettings
) -> tuple[SubgroupTrust, ...]:
    """The over-confidence test over all folds: the same problems under another id in every fold."""
    humans: list[tuple[NDArray[np.int64], Responses]] = []
    crowds: list[Study] = []
    for own, part, crowd in judged:
        seed = seed_words(chosen.seed, f"trust:{len(humans)}") % 2**31
        items = fitted_items(crowd, study.problems, references)
        made = as_study(simulate_crowd(crowd, items, CROWD_SIZE, seed), crowd)
        humans.append((own, part.responses))
        crowds.append(made)
    count = len(study.problems)
    rows = np.tile(np.arange(count), len(judged))
    problems = study.problems.take(rows)
    ids = [f"{identity}#{k}" for k in range(len(judged)) for identity in study.problems.ids]
    problems = replace(problems, ids=np.array(ids, dtype=object))
    human = replace(study, problems=problems, responses=_shifted(humans, count))
    sizes = np.cumsum([0, *(len(c.profiles) for c in crowds)])
    places = [np.arange(a, b) for a, b in pairwise(sizes)]
    answers = _shifted(list(zip(places, (c.responses for c in crowds), strict=True)), count)
    profiles = replace(
        crowds[0].profiles,
        ids=np.array([f"s{i}" for i in range(sizes[-1])], dtype=object),
        values_NC=np.concatenate([c.profiles.values_NC for c in crowds]),
    )
    crowd_study = replace(human, profiles=profiles, responses=answers, weights_N=None)
    return overconfident(human, crowd_study, subgroups(model.generator), seed=chosen.seed)


def _shifted(parts: list[tuple[NDArray[np.int64], Responses]], count: int) -> Responses:
    return Responses(
        np.concatenate([own[r.participant_R] for own, r in parts]),
        np.concatenate([r.problem_R + k * count for k, (_, r) in enumerate(parts)]),
        np.concatenate([r.values_RD for _, r in parts]),
    )


def _notes(
    risk: RiskReport, found: GateReport | None, rows: tuple[SubgroupTrust, ...], mix: MixReport, scale: bool,
    references: References | None,
) -> list[str]:  # fmt: skip
    out = [risk.noise.explain()]
    if found is not None:
        better, worse, undecided = ([g.group for g in found.groups if g.verdict == v] for v in (CROWD, LLM, OPEN))
        if better:
            out.append(f"the crowd beats the bare LLM where {'; '.join(better)}")
        if worse:
            out.append(f"use the LLM, or ask humans, where {'; '.join(worse)}")
        if undecided:
            out.append(
                f"no evidence whether the crowd beats the bare LLM in {len(undecided)} of {len(found.groups)} groups: "
                "they are in gate.csv"
            )
    elif references is None:
        out.append("no gate: the model was fitted without an LLM")
    else:
        out.append("no gate: it compares means on a scale")
    sure = [f"{r.column} {r.level!r}" if r.column else "everybody" for r in rows if r.verdict == "over-confident"]
    if sure:
        out.append(f"the crowd alone is too sure of its means of: {', '.join(sure)}; use intervals that rest on humans")
    if not scale:
        out.append("no test of over-confident subgroups: it compares means on a scale")
    return out + mix.warnings()


def trust_tables(trust: Trust) -> dict[str, pd.DataFrame]:
    """Tables to be written, by name: risk, gate (where there is one), subgroups (where tested), mix."""
    tables = {"risk": trust.risk.frame()}
    if trust.gate is not None:
        tables["gate"] = trust.gate.frame()
    if trust.subgroups:
        tables["subgroups"] = trust_frame(trust.subgroups)
    return tables | {"mix": trust.mix.frame()}
