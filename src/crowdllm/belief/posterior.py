"""The encoder: a normal q(eps_i | a person's known answers), by Newton's method on the exact log posterior.

log p(eps_i | answers) = -|eps_i|^2 / 2 + sum_t log p(y_it | delta_it(eps_i)) + constant is concave for the response
types' likelihoods (up to the censoring of continuous ones), so a few Newton steps find its mode; the inverse Hessian
there is the covariance (Laplace). The same function trains the model (E-step) and, given the known answers of a real
person, makes that person's digital twin. With no answers it returns the prior N(0, I).

Shapes: N participants, Z belief width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

LogLik = Callable[[torch.Tensor], torch.Tensor]
"""(N, Z) noise to (N,) log-likelihood of each person's answers."""
Derivatives = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(N, Z) noise to the gradient (N, Z) of the log-likelihood and the posterior precision (N, Z, Z), at least I."""


class Posterior(NamedTuple):
    """Normal approximation: mean_NZ, and factor_NZZ with factor @ factor' the covariance."""

    mean_NZ: torch.Tensor
    factor_NZZ: torch.Tensor
    log_det_N: torch.Tensor

    def draw(self, noise_NZ: torch.Tensor) -> torch.Tensor:
        """eps_i from standard normal noise."""
        return self.mean_NZ + torch.einsum("nyz,nz->ny", self.factor_NZZ, noise_NZ)

    def kl(self) -> torch.Tensor:
        """(N,) KL(q(eps_i | answers) || N(0, I)), the first term of L1 in eq. (4)."""
        trace = self.factor_NZZ.square().sum((-1, -2))
        return 0.5 * (trace + self.mean_NZ.square().sum(-1) - self.mean_NZ.shape[-1] - self.log_det_N)


def laplace(log_lik: LogLik, start_NZ: torch.Tensor, steps: int) -> Posterior:
    """`steps` Newton steps from `start_NZ`; the precision is at least the prior's, so that every step is safe."""
    return newton(lambda eps_NZ: _derivatives(log_lik, eps_NZ), start_NZ, steps)


def newton(derivatives: Derivatives, start_NZ: torch.Tensor, steps: int) -> Posterior:
    """The same, from derivatives that are known without differentiating."""
    eps = start_NZ.detach().clone()
    if eps.shape[1] == 0:
        empty = torch.zeros(len(eps), 0, 0, dtype=eps.dtype)
        return Posterior(eps, empty, torch.zeros(len(eps), dtype=eps.dtype))
    for _ in range(steps):
        gradient, precision = derivatives(eps)
        step = torch.linalg.solve(precision, gradient - eps)
        length = step.norm(dim=-1, keepdim=True)
        eps = eps + step * torch.clamp(2.0 / length.clamp_min(1e-12), max=1.0)
    _, precision = derivatives(eps)
    lower = torch.linalg.cholesky(precision)
    identity = torch.eye(eps.shape[1], dtype=eps.dtype).expand_as(lower)
    factor = torch.linalg.solve_triangular(lower, identity, upper=False).transpose(-1, -2)
    log_det = -2 * lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return Posterior(eps, factor, log_det)


def _derivatives(log_lik: LogLik, eps_NZ: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient of the log-likelihood, and the posterior precision I - Hessian with eigenvalues of at least 1."""
    width = eps_NZ.shape[1]
    with torch.enable_grad():
        eps = eps_NZ.detach().requires_grad_()
        total = log_lik(eps).sum()
        (gradient,) = torch.autograd.grad(total, eps, create_graph=True)
        rows = [torch.autograd.grad(gradient[:, z].sum(), eps, retain_graph=True)[0] for z in range(width)]
    hessian = torch.stack(rows, dim=1)
    symmetric = -0.5 * (hessian + hessian.transpose(-1, -2))
    values, vectors = torch.linalg.eigh(torch.nan_to_num(symmetric))
    precision = (vectors * (1 + values.clamp_min(0)).unsqueeze(-2)) @ vectors.transpose(-1, -2)
    return torch.nan_to_num(gradient.detach()), precision
