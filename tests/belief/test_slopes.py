"""The closed-form derivatives are those of the likelihood itself, differentiated by torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from crowdllm.belief.batches import Batch
from crowdllm.belief.crowd_model import fit_crowd
from crowdllm.belief.likelihood import Likelihood
from crowdllm.belief.posterior import laplace
from crowdllm.belief.slopes import ByPerson, Cells, OrdinalTotal, slopes
from crowdllm.config import CrowdConfig
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType

Array = NDArray[np.float64]
LEVELS = Ordinal(("1", "2", "3", "4"))


def by_torch(
    kind: ResponseType, base_BP: torch.Tensor, spread_B: torch.Tensor, values_BD: torch.Tensor, shift_B: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """First and second derivative of the response type's own log_prob in the shift."""
    shift = shift_B.clone().requires_grad_()
    params = kind.shifted(base_BP, shift.unsqueeze(-1), spread_B)
    log_prob = kind.log_prob(params, values_BD, torch.zeros(len(shift)))
    (first,) = torch.autograd.grad(log_prob.sum(), shift, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), shift)
    return first.detach(), second


def ordinal_answers(rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cut points, spreads, levels and shifts."""
    rng = np.random.default_rng(0)
    base = np.sort(0.7 * rng.normal(size=(rows, 3)), axis=1)
    level = np.arange(rows) % 4
    given = (base, rng.uniform(1, 2, rows), level[:, None].astype(float), 0.7 * rng.normal(size=rows))
    base_BP, spread_B, values_BD, shift_B = (torch.from_numpy(array) for array in given)
    return base_BP, spread_B, values_BD, shift_B


def test_the_slopes_of_levels_are_those_that_torch_finds() -> None:
    base, spread, values, shift = ordinal_answers(40)
    first, second = slopes(LEVELS, base, spread, values)(shift)
    expected = by_torch(LEVELS, base, spread, values, shift)
    np.testing.assert_allclose(first, expected[0], atol=1e-9)
    np.testing.assert_allclose(second, expected[1], atol=1e-8)


def test_an_answer_that_is_next_to_impossible_has_no_slope_as_in_the_likelihood() -> None:
    """Phi(-9) is about 1e-19, less than the least probability that the likelihood tells apart."""
    base, values = torch.tensor([[-0.5, 0.0, 0.5]] * 2).double(), torch.tensor([[0.0], [3.0]]).double()
    first, second = slopes(LEVELS, base, torch.ones(2).double(), values)(torch.tensor([9.0, -9.0]).double())
    np.testing.assert_array_equal(first, 0.0)
    np.testing.assert_array_equal(second, 0.0)


@pytest.mark.parametrize("kind", [Continuous(), Continuous(-1.0, 1.0)], ids=["open", "bounded"])
def test_the_slopes_of_numbers_are_those_that_torch_finds(kind: Continuous) -> None:
    rng = np.random.default_rng(1)
    base = torch.from_numpy(np.c_[rng.normal(size=30), 0.3 * rng.normal(size=30)])
    values = torch.from_numpy(np.clip(rng.normal(0, 1.5, (30, 1)), -1, 1))
    spread, shift = torch.from_numpy(rng.uniform(1, 2, 30)), torch.from_numpy(rng.normal(size=30))
    first, second = slopes(kind, base, spread, values)(shift)
    expected = by_torch(kind, base, spread, values, shift)
    np.testing.assert_allclose(first, expected[0], rtol=1e-12)
    np.testing.assert_allclose(second, expected[1], rtol=1e-12)
    assert bool((second <= 0).all())


def test_sums_by_person_and_by_item_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(2)
    person, item, weight = rng.integers(0, 5, 30), rng.integers(0, 4, 30), rng.normal(size=30)
    person[person == 3] = 2  # nobody: a row of zeros
    of_items, of_people = rng.normal(size=(4, 2)), rng.normal(size=(5, 2))
    expected_N, expected_I = np.zeros((5, 2)), np.zeros((4, 2))
    for n, i, w in zip(person, item, weight, strict=True):
        expected_N[n] += w * of_items[i]
        expected_I[i] += w * of_people[n]
    sums = ByPerson.of(torch.from_numpy(person), torch.from_numpy(item), 5)
    found_N, found_I = sums.both(torch.from_numpy(weight), of_items, of_people)
    np.testing.assert_allclose(found_N, expected_N)
    np.testing.assert_allclose(found_I, expected_I)
    np.testing.assert_array_equal(sums.sum(torch.from_numpy(weight), of_items), found_N)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_total_of_ordinal_answers_and_its_gradients_are_those_that_torch_finds(weighted: bool) -> None:
    base, _, values, _ = ordinal_answers(40)
    rng = np.random.default_rng(3)
    loadings, attitude = (torch.from_numpy(0.7 * rng.normal(size=(rows, 2))).requires_grad_() for rows in (6, 7))
    spread = torch.from_numpy(rng.uniform(1, 2, 6)).requires_grad_()
    person, item = (torch.from_numpy(rng.integers(0, most, 40)) for most in (7, 6))
    weight = torch.from_numpy(rng.uniform(0.2, 3, 40)) if weighted else None
    total = OrdinalTotal.apply(
        loadings, attitude, spread, Cells.of(base, values), ByPerson.of(person, item, 7), person, item, weight
    )
    found = torch.autograd.grad(3.0 * total, (loadings, attitude, spread))
    params = LEVELS.shifted(base, (loadings[item] * attitude[person]).sum(-1, keepdim=True), spread[item])
    each = LEVELS.log_prob(params, values, torch.zeros(40))
    plain = (each if weight is None else each * weight).sum()
    assert float(total.detach()) == pytest.approx(float(plain.detach()), rel=1e-10)
    for mine, theirs in zip(found, torch.autograd.grad(3.0 * plain, (loadings, attitude, spread)), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-9)


@pytest.mark.parametrize("kind", ["ordinal", "continuous", "bounded"])
def test_the_encoder_in_closed_form_agrees_with_the_one_that_differentiates(
    kind: str, make_known: Callable[..., Any], fast_config: Callable[..., CrowdConfig]
) -> None:
    study = make_known(kind, people=25, problems=6, strength=1.5).study
    model = fit_crowd(study, None, fast_config(), 0)
    v_NV = torch.from_numpy(model.encoder.encode(study.profiles).astype(np.float64) - model.profile_mean_V)
    likelihood = Likelihood(
        model.personal, model.population, model.items, v_NV, model.response_type, np.arange(len(model.items))
    )
    batch = Batch.of(study.responses, model.items, np.arange(25))
    start = torch.zeros(25, 2).double()
    with torch.no_grad():
        likelihood.refresh(batch.people)
    found, expected = (
        likelihood.posterior(batch, start, 4),
        laplace(likelihood._per_person(batch), start, 4),
    )
    np.testing.assert_allclose(found.mean_NZ, expected.mean_NZ, atol=1e-8)
    for n in range(25):
        covariance, other = (p.factor_NZZ[n] @ p.factor_NZZ[n].T for p in (found, expected))
        np.testing.assert_allclose(covariance, other, atol=1e-8)


@pytest.mark.parametrize("kind", ["ordinal", "choice"])
def test_people_without_answers_keep_the_prior(
    kind: str, make_known: Callable[..., Any], fast_config: Callable[..., CrowdConfig]
) -> None:
    study = make_known(kind, people=8, problems=4).study
    model = fit_crowd(study, None, fast_config(max_epochs=0), 0)
    v_NV = torch.zeros(8, len(model.profile_mean_V)).double()
    likelihood = Likelihood(
        model.personal, model.population, model.items, v_NV, model.response_type, np.arange(len(model.items))
    )
    nothing = Batch.of(study.responses.take(np.zeros(0, dtype=np.int64)), model.items, np.arange(8))
    with torch.no_grad():
        likelihood.refresh(nothing.people)
    posterior = likelihood.posterior(nothing, torch.full((8, 2), 0.5).double(), 1)
    np.testing.assert_allclose(posterior.mean_NZ, 0, atol=1e-12)
    np.testing.assert_allclose(posterior.factor_NZZ, np.broadcast_to(np.eye(2), (8, 2, 2)), atol=1e-12)
