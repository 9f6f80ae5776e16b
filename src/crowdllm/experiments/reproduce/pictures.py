"""The distributions of a few unseen problems, as several methods simulate them (the paper's Figures 6 and 7).

Each method is fitted once more on the first split, and its shares are kept as a table, so that the picture can be
drawn again without fitting.

Shapes: T problems shown, M levels or options, R responses.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError, MissingExtraError
from crowdllm.evaluation.histograms import histograms, is_scale, mean_decisions, response_counts
from crowdllm.experiments.reproduce.units import OpenedRun
from crowdllm.experiments.results_folder import write_csv
from crowdllm.methods import get_method
from crowdllm.profiles.generator import ProfileGenerator

SHOWN, PEOPLE = 3, 1000
Array = NDArray[np.float64]


def shown_problems(test: Study, count: int = SHOWN) -> NDArray[np.int64]:
    """Positions of the problems to show: of those that most people answered, a low, a middle and a high one.

    For response types that are no scale: the first ones.
    """
    asked_T = response_counts(test.responses, len(test.problems))
    order = np.argsort(-asked_T, kind="stable")
    order = order[asked_T[order] > 0]
    if not is_scale(test.response_type) or len(order) <= count:
        return np.sort(order[:count])
    often = order[: max(10 * count, count)]
    mean_T = mean_decisions(test.responses, test.response_type, len(test.problems))
    ranked = often[np.argsort(mean_T[often], kind="stable")]
    return ranked[np.round(np.linspace(0.1, 0.9, count) * (len(ranked) - 1)).astype(np.int64)]


def shares_path(opened: OpenedRun, method: str) -> Path:
    """Where the shares of a method are kept; the seed of the split is in the name."""
    comparison = opened.run.comparison
    return opened.folder / "pictures" / f"{comparison.split}-{comparison.seeds[0]}-{method}.csv"


def write_shares(opened: OpenedRun, method: str) -> str:
    """Fit, simulate 1,000 people on the shown problems, and keep the shares; returns why not, "" when it did."""
    comparison, references = opened.run.comparison, opened.given(method)
    seed = comparison.seeds[0]
    split = opened.study.split(comparison.split, comparison.test_fraction, seed)
    problems = split.test.problems.take(shown_problems(split.test))
    try:
        simulator = get_method(method)(split.train, references, comparison.embedding, seed)
        recruiter = simulator.generator or ProfileGenerator.fit(
            split.train.profiles, split.train.relative_weights_N, seed
        )
        crowd = recruiter.recruit(PEOPLE, seed)
        person_R = np.tile(np.arange(PEOPLE), len(problems))
        problem_R = np.repeat(np.arange(len(problems)), PEOPLE)
        values_RD = simulator.simulate(problems, references, crowd, person_R, problem_R, seed)
    except (MismatchError, MissingExtraError) as error:
        return str(error)
    answered = np.asarray(~np.isnan(values_RD).any(axis=1))
    most = int(problems.option_counts.max(initial=0))
    simulated = Responses(person_R, problem_R, values_RD).take(answered)
    shares_TM = histograms(simulated, opened.study.response_type, len(problems), most)
    table = pd.DataFrame(shares_TM, columns=[f"p{m + 1}" for m in range(shares_TM.shape[1])])
    table.insert(0, "problem", problems.ids)
    write_csv(table, shares_path(opened, method))
    return ""


def read_shares(opened: OpenedRun, method: str) -> Array | None:
    """(T, M) as written, or None where the method has none."""
    path = shares_path(opened, method)
    if not path.exists():
        return None
    return pd.read_csv(path, dtype={"problem": str}).drop(columns="problem").to_numpy(dtype=float)


def human_shares(opened: OpenedRun) -> tuple[Array, list[str], list[str]]:
    """(T, M) of the humans on the shown problems, and the problems' ids and texts."""
    comparison = opened.run.comparison
    test = opened.study.split(comparison.split, comparison.test_fraction, comparison.seeds[0]).test
    shown = shown_problems(test)
    most = int(test.problems.option_counts.max(initial=0))
    human_TM = histograms(test.responses, test.response_type, len(test.problems), most)[shown]
    return human_TM, [str(i) for i in test.problems.ids[shown]], [str(x) for x in test.problems.texts[shown]]
