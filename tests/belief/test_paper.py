"""The paper's modules: every term of eq. (4), the mean over J draws and the clamp, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from crowdllm.belief.paper import PaperBelief
from crowdllm.config import PaperConfig


def belief_of(x_width: int, v_width: int, **settings: float) -> PaperBelief:
    """All weights 0, so that every layer gives its bias."""
    belief = PaperBelief(x_width, v_width, PaperConfig(hidden=3, belief_width=2, **settings))
    with torch.no_grad():
        for parameter in belief.parameters():
            parameter.zero_()
    return belief


def set_bias(layer: torch.nn.Module, *values: float) -> None:
    with torch.no_grad():
        layer.bias.copy_(torch.tensor(values))  # type: ignore[operator, union-attr]


def terms(belief: PaperBelief, x: list[list[float]], y_ref: list[float], y: list[float], low: float, high: float):
    rows = len(x)
    return belief.terms(
        torch.tensor(x), torch.zeros(rows, 1), torch.tensor(y_ref), torch.tensor(y), low, high,
        torch.Generator().manual_seed(0),
    )  # fmt: skip


def test_the_kl_term_is_that_of_two_normals() -> None:
    """Means (1, -2), variances (4, 1/4): KL = ((4 + 1 - 1 - ln 4) + (1/4 + 4 - 1 + ln 4)) / 2 = 7.25 / 2."""
    belief = belief_of(1, 1)
    set_bias(belief.mean, 1.0, -2.0)
    set_bias(belief.log_variance, math.log(4), -math.log(4))
    got = terms(belief, [[0.0], [0.5]], [0.0, 0.0], [0.0, 0.0], -5, 5)
    np.testing.assert_allclose(got.kl.detach().numpy(), 3.625, rtol=1e-6)


def test_the_reconstruction_term_is_the_summed_squared_error_of_x() -> None:
    """The decoder gives tanh(0) = 0 and tanh(1): (0.3 - 0)^2 + (-0.4 - tanh 1)^2."""
    belief = belief_of(2, 1)
    set_bias(belief.decoder[2], 0.0, 1.0)
    got = terms(belief, [[0.3, -0.4]], [0.0], [0.0], -5, 5)
    assert float(got.reconstruction.detach()) == pytest.approx(0.09 + (0.4 + math.tanh(1)) ** 2, rel=1e-6)


def test_the_decision_term_is_the_squared_error_of_the_decision() -> None:
    """Without noise the decision is y_ref + bias: (1 + 0.25 - 2)^2 and, clamped at 1.5, (1.5 - 2)^2."""
    belief = belief_of(1, 1, noise=0.0)
    set_bias(belief.bias[1], 0.25)
    got = terms(belief, [[0.0], [0.0]], [1.0, 3.0], [2.0, 2.0], -1.5, 1.5)
    np.testing.assert_allclose(got.decision.detach().numpy(), [0.5625, 0.25], rtol=1e-6)


def test_the_decision_is_the_mean_over_draws_of_the_clamped_blender() -> None:
    """0.8 + 1 and 0.8 - 1 on the scale -1..1: (1 + (-0.2)) / 2, not the clamp of the mean 0.8."""
    belief = belief_of(1, 1, noise=1.0)
    noise = torch.tensor([[1.0], [-1.0]])
    decided = belief.decide(torch.tensor([0.8]), torch.zeros(2, 1, 2), noise, -1.0, 1.0)
    assert float(decided.detach()) == pytest.approx(0.4)


def test_sigma_scales_the_noise_of_the_blender() -> None:
    belief = belief_of(1, 1, noise=0.5)
    decided = belief.decide(torch.tensor([0.0]), torch.zeros(1, 1, 2), torch.tensor([[1.0]]), -9.0, 9.0)
    assert float(decided.detach()) == pytest.approx(0.5)


def test_the_bias_is_a_linear_map_of_the_belief() -> None:
    """10 units, each 2 z_1 - z_2, summed with weight 1/10 and plus 3: 2 z_1 - z_2 + 3."""
    belief = belief_of(1, 1, noise=0.0)
    with torch.no_grad():
        belief.bias[0].weight.copy_(torch.tensor([[2.0, -1.0]]).expand(10, 2))
        belief.bias[1].weight.fill_(0.1)
    set_bias(belief.bias[1], 3.0)
    z = torch.tensor([[[1.0, 0.5]], [[-1.0, 0.0]]])
    decided = belief.decide(torch.tensor([0.0]), z, torch.zeros(2, 1), -100.0, 100.0)
    assert float(decided.detach()) == pytest.approx(((2 - 0.5 + 3) + (-2 + 3)) / 2)


def test_more_draws_bring_the_decision_nearer_to_its_mean() -> None:
    """SD of the mean of J clamped-free draws is sigma / sqrt(J): 1 against 1 / sqrt(25)."""
    spread = []
    for draws in (1, 25):
        belief = belief_of(1, 1, noise=1.0, draws=draws)
        noise = torch.randn(draws, 4000, generator=torch.Generator().manual_seed(1))
        decided = belief.decide(torch.zeros(4000), torch.zeros(draws, 4000, 2), noise, -99.0, 99.0)
        spread.append(float(decided.detach().std()))
    assert spread[0] == pytest.approx(1.0, abs=0.05)
    assert spread[1] == pytest.approx(0.2, abs=0.01)


def test_the_start_depends_on_its_generator_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        belief = PaperBelief(3, 2, PaperConfig(hidden=5))
        belief.start(torch.Generator().manual_seed(seed))
        return torch.cat([p.detach().ravel() for p in belief.parameters()])

    before = torch.random.get_rng_state()
    first, again, other = weights(1), weights(1), weights(2)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())  # no number was taken from torch's global generator


def test_the_start_is_within_the_bound_of_each_layer() -> None:
    belief = PaperBelief(12, 4, PaperConfig(hidden=9))
    belief.start(torch.Generator().manual_seed(0))
    first = belief.encoder[0]
    assert float(first.weight.detach().abs().max()) <= 1 / 4  # 1 / sqrt(16 inputs)
    assert float(first.weight.detach().abs().max()) > 0.2
