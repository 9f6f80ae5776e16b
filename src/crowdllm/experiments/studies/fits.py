"""Fits of the two models with settings of their own, for studies that fit many times; other methods as they are."""

from __future__ import annotations

from typing import Any

from crowdllm.belief.crowd_model import fit_crowd
from crowdllm.config import CrowdConfig, PaperConfig, make_config
from crowdllm.data.study import Study
from crowdllm.experiments.studies.crowds import POOL, Fitted, fit_method
from crowdllm.methods import references_for
from crowdllm.methods.crowdllm import CrowdSimulator
from crowdllm.methods.crowdllm_paper import fit_paper
from crowdllm.methods.protocol import Simulator
from crowdllm.reference import References

OWN, PAPER, VAE = "crowdllm", "crowdllm-paper", "vae"
Given = tuple[tuple[str, Any], ...]
QUICK_OWN: Given = (
    ("max_epochs", 10),
    ("folds", 2),
    ("reference_penalties", (100.0,)),
    ("embedding_penalties", (20.0, 200.0)),
    ("effect_variances", (0.1,)),
    ("profile_penalties", (80.0,)),
)
"""Settings of `crowdllm` for quick runs: fewer choices are made inside the training part."""
QUICK_PAPER: Given = (("max_epochs", 12),)


def fit_with(
    method: str, train: Study, references: References | None, embedding: str, seed: int,
    own: Given = (), paper: Given = (), recruits: int = POOL,
) -> Fitted:  # fmt: skip
    """As `fit_method`; own: settings of `crowdllm`; paper: settings of `crowdllm-paper` and `vae`."""
    given = references_for(method, references)
    simulator: Simulator
    if method == OWN:
        config = make_config(CrowdConfig, {"embedding": embedding} | dict(own))
        simulator = CrowdSimulator(fit_crowd(train, given, config, seed))
    elif method in (PAPER, VAE):
        config = make_config(PaperConfig, {"embedding": embedding} | dict(paper))
        simulator = fit_paper(train, given if method == PAPER else None, config, seed)
    else:
        return fit_method(method, train, references, embedding, seed, recruits)
    assert simulator.generator is not None
    return Fitted(simulator, given, simulator.generator.recruit(recruits, seed))
