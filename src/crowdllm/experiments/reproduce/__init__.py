"""`crowdllm reproduce DATASET`: per data set one function that returns its whole configuration, found by name.

`plan` says what a configuration holds, `runner` does the units of work, `page` turns the numbers into one page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crowdllm.registry import lookup

if TYPE_CHECKING:
    from crowdllm.experiments.reproduce.plan import Reproduction, Settings

REPRODUCTIONS = {
    "offensiveness": "crowdllm.experiments.reproduce.offensiveness:configure",
    "voting": "crowdllm.experiments.reproduce.voting:configure",
    "bfi": "crowdllm.experiments.reproduce.bfi:configure",
    "ev_attitudes": "crowdllm.experiments.reproduce.ev_attitudes:configure",
    "amazon_beauty": "crowdllm.experiments.reproduce.amazon:configure_beauty",
    "amazon_music": "crowdllm.experiments.reproduce.amazon:configure_music",
}


def get_reproduction(dataset: str, settings: Settings) -> Reproduction:
    """The whole configuration for a data set; raises UnknownNameError with the valid names."""
    configured: Reproduction = lookup(REPRODUCTIONS, dataset, "data set to reproduce")(settings)
    return configured


__all__ = ["REPRODUCTIONS", "get_reproduction"]
