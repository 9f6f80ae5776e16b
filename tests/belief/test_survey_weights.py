"""Survey weights in the fit: equal ones change nothing, and a biased sample's undo its bias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from crowdllm.belief.counted import Answers
from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.belief.slopes import ByPerson, Cells, OrdinalTotal
from crowdllm.config import CrowdConfig
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.evaluation.histograms import histograms
from crowdllm.responses.continuous import Continuous
from crowdllm.simulation.decide import simulate_pairs

Array = NDArray[np.float64]
Known = Callable[..., Any]
Config = Callable[..., CrowdConfig]


def crowd_shares(model: CrowdModel, study: Study, people: int = 3000) -> Array:
    """(T, M) the distributions of a recruited crowd that answers everything."""
    crowd, count = model.recruit(people, 1), len(study.problems)
    person_R, problem_R = np.repeat(np.arange(people), count), np.tile(np.arange(count), people)
    values = simulate_pairs(model, model.items, crowd, person_R, problem_R, 1)
    most = int(study.problems.option_counts.max(initial=0))
    return histograms(Responses(person_R, problem_R, values), model.response_type, count, most)


def biased(study: Study) -> Study:
    """Those whose leaning is low mostly stayed away; who came stands for all of them."""
    leaning = study.profiles.values_NC[:, study.profiles.position("leaning")]
    chance = np.select([leaning == 0, leaning == 1], [0.1, 0.3], 1.0)
    came = np.flatnonzero(np.random.default_rng(5).random(len(leaning)) < chance)
    return replace(study.subset(np.arange(len(study.problems)), came), weights_N=1 / chance[came])


@pytest.mark.parametrize("kind", ["ordinal", "choice", "continuous", pytest.param("ballot", marks=pytest.mark.slow)])
def test_the_weights_of_a_biased_sample_give_the_populations_distribution(
    kind: str, make_known: Known, fast_config: Config
) -> None:
    known = make_known(kind, people=900, problems=6, strength=1.5, missing=0.0, same_options=True)
    sample = biased(known.study)
    config = fast_config(max_epochs=3, belief_width=1)
    truth = known.truth_TM
    off = {}
    for name, study in {"weighted": sample, "plain": replace(sample, weights_N=None)}.items():
        model = fit_crowd(study, None, config, 0)
        off[name] = float(np.abs(crowd_shares(model, study) - truth).mean())
        if name == "weighted":
            leaning = model.recruit(3000, 2).values_NC[:, known.study.profiles.position("leaning")]
            everybody = known.study.profiles.values_NC[:, known.study.profiles.position("leaning")]
            for level in range(3):  # the recruits are the population's people
                assert (leaning == level).mean() == pytest.approx((everybody == level).mean(), abs=0.06)
    assert off["weighted"] < 0.6 * off["plain"]


@pytest.mark.parametrize(("kind", "people"), [("ordinal", 20), ("ordinal", 70), ("continuous", 70), ("points", 30)])
def test_equal_weights_are_no_weights(kind: str, people: int, make_known: Known, fast_config: Config) -> None:
    study = make_known(kind, people=people, problems=14, same_options=True).study
    config = fast_config(max_epochs=3)
    plain = fit_crowd(study, None, config, 0)
    equal = fit_crowd(replace(study, weights_N=np.full(people, 0.37)), None, config, 0)
    for name in ("weights_FW", "intercept_W", "extras", "effects_IW"):
        np.testing.assert_allclose(getattr(equal.population, name), getattr(plain.population, name), atol=1e-9)
    for a, b in zip(equal.item_terms(equal.items)[:2], plain.item_terms(plain.items)[:2], strict=True):
        if study.response_type.has_options:  # what all options share changes nothing: its gradient is rounding
            a, b = (x - x.mean(axis=0 if len(x) > 14 else 1, keepdims=True) for x in (a, b))
        np.testing.assert_allclose(a, b, atol=1e-7)
    np.testing.assert_allclose(equal.covariance_ZZ, plain.covariance_ZZ, atol=1e-9)
    assert equal.generator.to_dict() == plain.generator.to_dict()


def test_a_weight_of_two_counts_an_answer_twice() -> None:
    people, problems = np.array([0, 1, 2, 0]), np.array([0, 0, 0, 1])
    values = np.array([[1.0], [1.0], [2.0], [0.0]])
    answers = Answers.of(Responses(people, problems, values, np.array([2.0, 1.0, 0.5, 2.0])))
    found = {(t, v): c for t, v, c in zip(answers.problem_B, answers.values_BD[:, 0], answers.count_B, strict=True)}
    assert found == {(0, 1.0): 3.0, (0, 2.0): 0.5, (1, 0.0): 2.0}


def test_two_points_for_many_numbers_have_the_weighted_mean_and_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crowdllm.belief.counted.MANY", 3)
    value, weight = np.array([1.0, 2.0, 4.0, 0.0]), np.array([1.0, 2.0, 1.0, 4.0])
    responses = Responses(np.arange(4), np.zeros(4, dtype=np.int64), value[:, None], weight)
    answers = Answers.of(responses, response_type=Continuous(0.0, 10.0))
    inside = answers.values_BD[:, 0] > 0
    x, n = answers.values_BD[inside, 0], answers.count_B[inside]
    # of 1, 2, 2, 4: mean 9/4, variance (25/16 + 2/16 + 49/16) / 4 = 19/16; and a weight of 4 at the bound
    assert n.sum() == pytest.approx(4)
    assert answers.count_B[~inside].tolist() == [4.0]
    assert (n * x).sum() / 4 == pytest.approx(9 / 4)
    assert (n * (x - 9 / 4) ** 2).sum() / 4 == pytest.approx(19 / 16)


def test_weighted_ordinal_gradients_are_those_of_repeated_answers() -> None:
    rng = np.random.default_rng(0)
    item, person = torch.tensor([0, 1, 0, 1, 1]), torch.tensor([0, 0, 1, 1, 2])
    base = torch.from_numpy(np.sort(rng.standard_normal((5, 3)), axis=1))
    value = torch.tensor([[0.0], [2.0], [3.0], [1.0], [2.0]]).double()
    times = torch.tensor([1, 3, 2, 1, 2])

    def total(rows: torch.Tensor, weight: torch.Tensor | None) -> tuple[float, list[torch.Tensor]]:
        leaves = [torch.from_numpy(np.random.default_rng(1).standard_normal(s)) for s in ((2, 2), (3, 2), (2,))]
        leaves[2] = leaves[2].exp()
        leaves = [leaf.requires_grad_() for leaf in leaves]
        by_person = ByPerson.of(person[rows], item[rows], 3)
        cells = Cells.of(base[rows], value[rows])
        out = OrdinalTotal.apply(*leaves, cells, by_person, person[rows], item[rows], weight)
        return float(out.detach()), list(torch.autograd.grad(out, leaves))

    weighted, of_weighted = total(torch.arange(5), times.double())
    repeated, of_repeated = total(torch.repeat_interleave(torch.arange(5), times), None)
    assert weighted == pytest.approx(repeated)
    for a, b in zip(of_weighted, of_repeated, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
