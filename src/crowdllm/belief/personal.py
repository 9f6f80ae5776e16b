"""What makes a person differ from the population: profile effects, participant noise, and items' loadings.

The personal part of the bias of participant i on item t is bilinear,

    delta_it = beta_t . c_i,      c_i = G (v_i - mean v) + eps_i,      eps_i ~ N(0, I),

with loadings beta_t = beta_0 + B f_t + rho_t from the item's features plus its own deviation (zero for new items).
eps_i is drawn once per participant and shared by all of its responses, which makes one simulated person coherent across
problems. It enters linearly, so delta_it is normal given the profile, and a mixture of normals only over profiles: the
non-Gaussian belief of a semi-implicit VAE proper is not modelled here. All that depends
on the item alone (beta_t) or on the participant alone (c_i) is computed once; a pair costs Z multiplications.

The population's distribution is kept by widening: a scale's cut points are multiplied by
sqrt(1 + beta_t' C beta_t), C the covariance of c over the training people.

Shapes: N participants, I items, Z belief width, F features, V profile width, U utilities, B pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from crowdllm.config import CrowdConfig


class PersonalTerms(NamedTuple):
    """Per item and per participant parts of delta, and the population covariance of c."""

    loadings_IZ: torch.Tensor
    attitude_NZ: torch.Tensor
    covariance_ZZ: torch.Tensor


class PersonalModel(nn.Module):
    """Parameters of delta_it; double precision, so that results do not depend on the order of summation."""

    def __init__(
        self,
        item_count: int,
        features: int,
        profile_width: int,
        has_options: bool,
        config: CrowdConfig,
        profile_penalty: float = 1.0,
    ) -> None:
        super().__init__()
        width = config.belief_width
        self.config, self.has_options, self.profile_penalty = config, has_options, profile_penalty
        make = lambda *shape: nn.Parameter(torch.zeros(*shape, dtype=torch.float64))  # noqa: E731
        self.common_Z = make(width)
        self.from_features_FZ = make(features, width)
        self.own_IZ = make(item_count, width)
        self.profile_VZ = make(profile_width, width)
        self.log_gain = make(1)
        self.item_shift_I = make(item_count if has_options else 0)

    def start(self, generator: torch.Generator) -> None:
        """Small random loadings, so that the latent attitudes are told apart; profiles begin with nothing to say."""
        with torch.no_grad():
            for parameter, size in ((self.common_Z, 0.3), (self.own_IZ, 0.1)):
                parameter.copy_(size * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
            if self.has_options:  # a common loading shifts all options alike, which changes nothing
                self.common_Z.zero_()

    def clear(self) -> None:
        """No differences between people: every parameter 0, so that delta_it is 0 for everybody."""
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()

    def loadings(self, features_IF: torch.Tensor, own_row_I: torch.Tensor) -> torch.Tensor:
        """(I, Z) beta_t; `own_row_I` is the item's row among the training items, -1 for new ones."""
        own = torch.where((own_row_I >= 0).unsqueeze(-1), self.own_IZ[own_row_I.clamp_min(0)], torch.zeros(()).double())
        return self.common_Z + features_IF @ self.from_features_FZ + own

    def profile_part(self, v_NV: torch.Tensor) -> torch.Tensor:
        """(N, Z) what the (centred) profile says about c_i."""
        return v_NV @ self.profile_VZ

    def covariance(self, v_NV: torch.Tensor, weight_N: NDArray[np.float64] | None = None) -> torch.Tensor:
        """(Z, Z) covariance of c over these (centred) people: identity plus that of the profile part."""
        return self.covariance_of(profile_spread(v_NV, weight_N))

    def covariance_of(self, spread_VV: torch.Tensor) -> torch.Tensor:
        """The same from the covariance of the profiles."""
        own = torch.eye(self.profile_VZ.shape[1], dtype=torch.float64)
        return own + self.profile_VZ.T @ spread_VV @ self.profile_VZ

    def item_raw(self, raw_IW: torch.Tensor, own_row_I: torch.Tensor) -> torch.Tensor:
        """Raw item parameters given a person: options' utilities grow when people differ, and may shift a little."""
        if not self.has_options:
            return raw_IW
        shift = torch.where(own_row_I >= 0, self.item_shift_I[own_row_I.clamp_min(0)], torch.zeros(()).double())
        return raw_IW * self.log_gain.exp() + shift.unsqueeze(-1)

    def penalty(self) -> torch.Tensor:
        """Minus the log prior of all parameters, up to a constant."""
        config = self.config
        return 0.5 * (
            config.loading_penalty * self.from_features_FZ.square().sum()
            + config.item_loading_penalty * self.own_IZ.square().sum()
            + self.profile_penalty * self.profile_VZ.square().sum()
            + config.item_shift_penalty * self.item_shift_I.square().sum()
            + 10.0 * self.log_gain.square().sum()
            + self.common_Z.square().sum()
        )


def profile_spread(v_NV: torch.Tensor, weight_N: NDArray[np.float64] | None = None) -> torch.Tensor:
    """(V, V) covariance of these people's encoded profiles, or of the population that their weights stand for."""
    if weight_N is not None and len(v_NV):
        weight_N1 = torch.from_numpy(weight_N / weight_N.sum()).unsqueeze(-1)
        off_NV = v_NV - (weight_N1 * v_NV).sum(0)
        return off_NV.T @ (weight_N1 * off_NV)
    away_NV = v_NV - v_NV.mean(0)
    return away_NV.T @ away_NV / max(len(v_NV), 1)


def shift_and_spread(
    loadings_IZ: torch.Tensor, covariance_ZZ: torch.Tensor, item_BU: torch.Tensor, attitude_BZ: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, U) delta and (B,) sqrt(1 + its population variance) for pairs of participant and problem.

    Options a problem does not have (item -1) get shift 0; the spread is that of the first utility.
    """
    loadings_BUZ = loadings_IZ[item_BU.clamp_min(0)]
    shift = torch.einsum("buz,bz->bu", loadings_BUZ, attitude_BZ)
    spread = spreads(loadings_IZ, covariance_ZZ)[item_BU[:, 0]]
    return torch.where(item_BU >= 0, shift, torch.zeros_like(shift)), spread


def spreads(loadings_IZ: torch.Tensor, covariance_ZZ: torch.Tensor) -> torch.Tensor:
    """(I,) sqrt(1 + the variance of delta in the population)."""
    return torch.sqrt(1 + ((loadings_IZ @ covariance_ZZ) * loadings_IZ).sum(-1))


def center_profiles(v_NV: np.ndarray, mean_V: np.ndarray) -> torch.Tensor:
    """The encoded profiles less the training mean, in double precision."""
    return torch.from_numpy(v_NV.astype(np.float64) - mean_V)
