"""The belief generator as the paper states it (arXiv 2512.07890): a conditional VAE with Gaussian bias.

Encoder q(z | x_t, v_i): one hidden layer of 400 ELU units, mean and log variance. Decoder p(x_t | z, v_i): one hidden
layer of 400 ELU units, tanh output. Bias: z through a linear map to 10 units and on to 1. Blender: reference + bias
+ fixed normal noise, clamped to the scale; the decision is the mean of J = 10 draws. Loss (4): KL + reconstruction of
x_t + lambda * squared error of the decision, each averaged within a participant and then over participants; Adam 0.001.
Not printed in the paper and therefore settings here: the noise scale and the belief width. The published modules use
squared error also for choices (the 0-1 loss has no gradient), and so does this.

For types with options the same modules run per option: x_t is the option's text, the reference its share, the target
1 for a pick, and the picks are the options with the highest decisions.

Shapes: B responses (times options where there are any), X embedding width, V profile width, Z belief width, J draws.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from crowdllm.config import PaperConfig


class PaperTerms(NamedTuple):
    """Per-observation terms of eq. (4), each (B,)."""

    kl: torch.Tensor
    reconstruction: torch.Tensor
    decision: torch.Tensor


class _Linear(nn.Linear):
    """A layer whose weights `PaperBelief.start` sets: torch itself would draw them from its global generator."""

    def reset_parameters(self) -> None:
        pass


class PaperBelief(nn.Module):
    """Encoder, decoder and bias of the published modules."""

    def __init__(self, x_width: int, v_width: int, config: PaperConfig) -> None:
        super().__init__()
        self.config = config
        hidden, width = config.hidden, config.belief_width
        self.encoder = nn.Sequential(_Linear(x_width + v_width, hidden), nn.ELU())
        self.mean = _Linear(hidden, width)
        self.log_variance = _Linear(hidden, width)
        self.decoder = nn.Sequential(_Linear(width + v_width, hidden), nn.ELU(), _Linear(hidden, x_width), nn.Tanh())
        self.bias = nn.Sequential(_Linear(width, 10), _Linear(10, 1))

    def start(self, generator: torch.Generator) -> None:
        """Uniform initial weights as torch's linear layers have them, from this generator."""
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    bound = layer.in_features**-0.5 if layer.in_features else 0.0
                    for parameter in (layer.weight, layer.bias):
                        parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2 - 1) * bound)

    def encode(self, x_BX: torch.Tensor, v_BV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance of q(z | x, v), each (B, Z)."""
        hidden = self.encoder(torch.cat([x_BX, v_BV], dim=-1))
        return self.mean(hidden), self.log_variance(hidden).clamp(-8, 8)

    def decide(
        self, y_ref_B: torch.Tensor, z_JBZ: torch.Tensor, noise_JB: torch.Tensor, low: float, high: float
    ) -> torch.Tensor:
        """(B,) mean over J of the blender: clamp(y_ref + bias(z) + sigma * noise)."""
        bias_JB = self.bias(z_JBZ).squeeze(-1)
        return (y_ref_B + bias_JB + self.config.noise * noise_JB).clamp(low, high).mean(0)

    def terms(
        self, x_BX: torch.Tensor, v_BV: torch.Tensor, y_ref_B: torch.Tensor, y_B: torch.Tensor,
        low: float, high: float, generator: torch.Generator,
    ) -> PaperTerms:  # fmt: skip
        """The loss terms of eq. (4) for each observation, with J reparameterised draws."""
        mean, log_variance = self.encode(x_BX, v_BV)
        shape = (self.config.draws, *mean.shape)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn(shape, generator=generator)
        kl = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(-1)
        rebuilt = self.decoder(torch.cat([z, v_BV.expand(len(z), -1, -1)], dim=-1))
        reconstruction = (rebuilt - x_BX).square().sum(-1).mean(0)
        decision = self.decide(y_ref_B, z, torch.randn(shape[:2], generator=generator), low, high)
        return PaperTerms(kl, reconstruction, (decision - y_B).square())
