"""`crowdllm study`: the figures and studies of the CrowdLLM paper, each one function that returns its whole config.

`protocol` says what such a function gets and gives, `run` does the pieces of work and writes the folder, `page` the
page. To add a study: one file here with a function `configure(settings) -> Experiment`, and one line below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from crowdllm.registry import lookup

if TYPE_CHECKING:
    from crowdllm.experiments.studies.protocol import Experiment, Settings

STUDIES: dict[str, str] = {
    "ablation": "crowdllm.experiments.studies.ablation:configure",
    "sensitivity": "crowdllm.experiments.studies.sensitivity:configure",
    "crowd-size": "crowdllm.experiments.studies.crowd_size:configure",
    "profiles": "crowdllm.experiments.studies.profiles:configure",
    "coverage": "crowdllm.experiments.studies.coverage:configure",
    "data-size": "crowdllm.experiments.studies.data_size:configure",
    "cost": "crowdllm.experiments.studies.cost:configure",
    "simulation": "crowdllm.experiments.studies.simulation:configure",
    "backbones": "crowdllm.experiments.studies.backbones:configure",
    "confounding": "crowdllm.experiments.studies.confounding:configure",
    "tuning": "crowdllm.experiments.studies.tuning:configure",
    "voting-migration": "crowdllm.experiments.studies.voting_migration:configure",
    "groups": "crowdllm.experiments.studies.groups:configure",
    "prompting": "crowdllm.experiments.studies.prompting:configure",
    "planner": "crowdllm.experiments.studies.planner:configure",
    "gate": "crowdllm.experiments.studies.gate:configure",
    "risk": "crowdllm.experiments.studies.risk:configure",
}

TAKES_TUNED = ("groups",)
"""Studies in which a tuned language model takes part, `Settings.tuned`."""


def get_study(name: str) -> Callable[[Settings], Experiment]:
    """The function that configures a study; raises UnknownNameError with the valid names."""
    configure: Callable[[Settings], Experiment] = lookup(STUDIES, name, "study")
    return configure


def study_title(name: str) -> str:
    """One line about a study: the first of its function's docstring."""
    return (get_study(name).__doc__ or "").strip().partition("\n")[0].rstrip(".")


__all__ = ["STUDIES", "TAKES_TUNED", "get_study", "study_title"]
