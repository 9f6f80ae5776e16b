"""Published data sets as studies: `load_dataset(name)`, one file per data set, found by name.

Nothing is shipped: files come from their published source (with a checksum) or from the folder named by
CROWDLLM_DATA_DIR; see `crowdllm.datasets.download`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crowdllm.errors import UnknownNameError
from crowdllm.registry import lookup

if TYPE_CHECKING:
    from crowdllm.data.study import Study
    from crowdllm.datasets.card import DatasetCard

DATASETS = {
    "offensiveness": "crowdllm.datasets.offensiveness:load",
    "voting": "crowdllm.datasets.voting:load",
    "bfi": "crowdllm.datasets.bfi:load",
    "ev_attitudes": "crowdllm.datasets.ev_attitudes:load",
    "beps": "crowdllm.datasets.beps:load",
    "musical": "crowdllm.datasets.musical:load",
    "amazon_beauty": "crowdllm.datasets.amazon:load_beauty",
    "amazon_music": "crowdllm.datasets.amazon:load_music",
    "synthetic": "crowdllm.datasets.synthetic:load",
}

CARDS = {
    "offensiveness": "crowdllm.datasets.offensiveness:CARD",
    "voting": "crowdllm.datasets.voting:CARD",
    "bfi": "crowdllm.datasets.bfi:CARD",
    "ev_attitudes": "crowdllm.datasets.ev_attitudes:CARD",
    "beps": "crowdllm.datasets.beps:CARD",
    "musical": "crowdllm.datasets.musical:CARD",
    "amazon_beauty": "crowdllm.datasets.amazon:CARD_BEAUTY",
    "amazon_music": "crowdllm.datasets.amazon:CARD_MUSIC",
    "synthetic": "crowdllm.datasets.synthetic:CARD",
}


def load_dataset(name: str, **options: Any) -> Study:
    """The study of this name; its options are listed on its card.

    Raises:
        UnknownNameError: no such data set or option; lists the valid ones and the nearest.
        DataUnavailableError: its files are neither in the mirror folder, nor cached, nor to be downloaded.
        StudyError: a file is not what the loader knows.
    """
    load = lookup(DATASETS, name, "data set")
    known = lookup(CARDS, name, "data set").options
    for option in options:
        if option not in known:
            raise UnknownNameError("option", option, known, f"data set {name!r}")
    study: Study = load(**options)
    return study


def dataset_cards() -> tuple[DatasetCard, ...]:
    """What is known of each data set before it is loaded, in registry order."""
    return tuple(lookup(CARDS, name, "data set") for name in DATASETS)


__all__ = ["CARDS", "DATASETS", "dataset_cards", "load_dataset"]
