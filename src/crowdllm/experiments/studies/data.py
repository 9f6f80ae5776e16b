"""The data of a study by name: opened once per process, with the references that a method is to be given."""

from __future__ import annotations

from functools import lru_cache

from crowdllm.data.study import Study
from crowdllm.experiments.comparison import data_digest
from crowdllm.experiments.sources import open_dataset, open_references
from crowdllm.experiments.studies.protocol import Data
from crowdllm.reference import References


@lru_cache(maxsize=8)
def open_data(data: Data) -> tuple[Study, References | None]:
    """The data set and its references (None for "none"); raises CrowdLLMError where they cannot be had."""
    opened = open_dataset(data.dataset)
    return opened.study, open_references(opened, data.references)


def digest(data: Data) -> str:
    """A hash of everything in the data that numbers depend on."""
    study, references = open_data(data)
    return data_digest(study, references)
