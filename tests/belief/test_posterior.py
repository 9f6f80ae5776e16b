"""The encoder: exact where the posterior is normal, close to the exact grid posterior elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from crowdllm.belief.posterior import LogLik, Posterior, laplace
from crowdllm.responses.ordinal import Ordinal

Array = NDArray[np.float64]
CUTS = torch.tensor([-1.2, -0.3, 0.4, 1.1], dtype=torch.float64)
LEVELS = Ordinal(("1", "2", "3", "4", "5"))


def ordinal_answers(loadings_TZ: Array, levels_NT: Array) -> LogLik:
    """(N, Z) noise to the log-likelihood of everybody's answers to T problems with the same cut points."""
    loadings, levels = torch.from_numpy(loadings_TZ), torch.from_numpy(levels_NT)
    people, count = levels.shape

    def log_lik(eps_NZ: torch.Tensor) -> torch.Tensor:
        shift = (eps_NZ @ loadings.T).reshape(-1, 1)
        params = CUTS.expand(people * count, -1) - shift
        given = levels.reshape(-1, 1)
        return LEVELS.log_prob(params, given, torch.zeros(people * count)).reshape(people, count).sum(1)

    return log_lik


def grid_posterior(log_lik: Callable[[Array], Array], axes: int) -> tuple[Array, Array, Array]:
    """Mode, mean and covariance of one person's posterior, by brute force on a fine grid."""
    line = np.linspace(-6, 6, 1201 if axes == 1 else 241)
    points = np.stack(np.meshgrid(*[line] * axes, indexing="ij"), axis=-1).reshape(-1, axes)
    log_density = log_lik(points) - 0.5 * (points**2).sum(axis=1)
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    mean = weight @ points
    return points[log_density.argmax()], mean, (points - mean).T @ ((points - mean) * weight[:, None])


def one_person(loadings_TZ: Array, levels_T: Array) -> Callable[[Array], Array]:
    """The same log-likelihood written out with NumPy and SciPy, for many points at once."""
    from scipy.special import ndtr

    edges = np.concatenate([[-np.inf], CUTS.numpy(), [np.inf]])

    def log_lik(points_PZ: Array) -> Array:
        shift_PT = points_PZ @ loadings_TZ.T
        upper = ndtr(edges[levels_T.astype(int) + 1] - shift_PT)
        with np.errstate(divide="ignore"):  # far out on the grid the probability is 0
            return np.log(upper - ndtr(edges[levels_T.astype(int)] - shift_PT)).sum(axis=1)

    return log_lik


@pytest.mark.parametrize("axes", [1, 2])
def test_the_posterior_of_ordinal_answers_is_near_the_grid_posterior(axes: int) -> None:
    rng = np.random.default_rng(axes)
    loadings = rng.normal(0, 0.8, size=(9, axes))
    levels = rng.integers(0, 5, size=(4, 9)).astype(float)
    posterior = laplace(ordinal_answers(loadings, levels), torch.zeros(4, axes).double(), 12)
    for n in range(4):
        mode, mean, covariance = grid_posterior(one_person(loadings, levels[n]), axes)
        np.testing.assert_allclose(posterior.mean_NZ[n].numpy(), mode, atol=0.6 * 12 / (1200 if axes == 1 else 240))
        np.testing.assert_allclose(posterior.mean_NZ[n].numpy(), mean, atol=0.06)
        factor = posterior.factor_NZZ[n].numpy()
        np.testing.assert_allclose(factor @ factor.T, covariance, atol=0.04)


def test_the_posterior_is_exact_where_it_is_normal() -> None:
    """y_t = b_t . eps + N(0, s^2): precision I + B'B / s^2 and mean precision^-1 B'y / s^2, the textbook regression."""
    rng = np.random.default_rng(0)
    b, y, s = rng.normal(size=(5, 2)), rng.normal(size=(3, 5)), 0.7

    def log_lik(eps: torch.Tensor) -> torch.Tensor:
        return -0.5 * ((torch.from_numpy(y) - eps @ torch.from_numpy(b).T) / s).square().sum(1)

    posterior = laplace(log_lik, torch.zeros(3, 2).double(), 20)
    precision = np.eye(2) + b.T @ b / s**2
    for n in range(3):
        np.testing.assert_allclose(posterior.mean_NZ[n].numpy(), np.linalg.solve(precision, b.T @ y[n] / s**2))
        factor = posterior.factor_NZZ[n].numpy()
        np.testing.assert_allclose(factor @ factor.T, np.linalg.inv(precision))
        assert float(posterior.log_det_N[n]) == pytest.approx(-np.linalg.slogdet(precision)[1])


def test_without_answers_the_posterior_is_the_prior() -> None:
    posterior = laplace(lambda eps: 0.0 * eps.square().sum(1), torch.full((3, 2), 1.3).double(), 5)
    np.testing.assert_allclose(posterior.mean_NZ.numpy(), 0, atol=1e-12)
    np.testing.assert_allclose(posterior.factor_NZZ.numpy(), np.tile(np.eye(2), (3, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(posterior.kl().numpy(), 0, atol=1e-12)


def test_a_person_without_answers_has_the_prior_beside_others_who_have_some() -> None:
    answered = ordinal_answers(np.array([[1.0, 0.5]]), np.array([[4.0], [0.0]]))

    def log_lik(eps: torch.Tensor) -> torch.Tensor:
        return torch.cat([answered(eps[:2]), torch.zeros(1).double()])

    posterior = laplace(log_lik, torch.zeros(3, 2).double(), 8)
    np.testing.assert_allclose(posterior.mean_NZ[2].numpy(), 0, atol=1e-12)
    np.testing.assert_allclose(posterior.factor_NZZ[2].numpy(), np.eye(2), atol=1e-12)
    assert posterior.mean_NZ[0, 0] > 0.3
    assert posterior.mean_NZ[1, 0] < -0.3


def test_no_dimensions_give_an_empty_posterior() -> None:
    posterior = laplace(lambda eps: eps.sum(1), torch.zeros(4, 0).double(), 3)
    assert posterior.mean_NZ.shape == (4, 0)
    np.testing.assert_array_equal(posterior.kl().numpy(), 0)


def test_kl_agrees_with_monte_carlo() -> None:
    """KL(q || p) = E_q[log q - log p], p standard normal; 400,000 draws leave a standard error below .004."""
    rng = np.random.default_rng(0)
    covariance = np.array([[0.5, 0.2], [0.2, 0.3]])
    factor, mean = np.linalg.cholesky(covariance), np.array([0.8, -0.4])
    draws = mean + rng.standard_normal((400_000, 2)) @ factor.T
    residual = np.linalg.solve(factor, (draws - mean).T).T
    log_q = -0.5 * (residual**2).sum(1) - np.log(np.diag(factor)).sum()
    terms = log_q + 0.5 * (draws**2).sum(1)
    posterior = Posterior(
        torch.from_numpy(mean)[None], torch.from_numpy(factor)[None], torch.tensor([np.linalg.slogdet(covariance)[1]])
    )
    assert terms.std() / np.sqrt(len(terms)) < 0.004
    assert float(posterior.kl()[0]) == pytest.approx(terms.mean(), abs=4 * 0.004)


def test_draws_have_the_posteriors_mean_and_covariance() -> None:
    loadings = np.array([[1.0, 0], [0.4, 0.9], [-0.5, 0.6]])
    posterior = laplace(ordinal_answers(loadings, np.array([[3.0, 1.0, 4.0]])), torch.zeros(1, 2).double(), 9)
    noise = np.random.default_rng(3).standard_normal((20_000, 1, 2))
    draws = np.stack([posterior.draw(torch.from_numpy(z)).numpy()[0] for z in noise])
    factor = posterior.factor_NZZ[0].numpy()
    np.testing.assert_allclose(draws.mean(0), posterior.mean_NZ[0].numpy(), atol=4 / np.sqrt(20_000))
    np.testing.assert_allclose(np.cov(draws.T), factor @ factor.T, atol=0.04)


def test_contradictory_and_extreme_answers_stay_finite() -> None:
    loadings = np.array([[30.0], [30.0], [-30.0]])
    posterior = laplace(ordinal_answers(loadings, np.array([[4.0, 0.0, 4.0]])), torch.zeros(1, 1).double(), 10)
    assert torch.isfinite(posterior.mean_NZ).all()
    assert torch.isfinite(posterior.factor_NZZ).all()
