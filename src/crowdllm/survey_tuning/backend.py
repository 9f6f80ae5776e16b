"""A tuned model as a source of references: asked without a profile, it answers for the whole population.

Tuning includes questions without a profile (setting `without_profile`), in the words of `crowdllm references --mode
options`; in that mode its shares are the distribution that the whole crowd of training would have. So it serves as the
LLM of the method `crowdllm`, which adds the persons: crowdllm references STUDY --backend tuned --model FOLDER.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crowdllm.llm.protocol import Answer, Request, Sampling
from crowdllm.llm.transformers import Ready, TransformersBackend
from crowdllm.survey_tuning.artifact import load_tuned, tuned_identity


@dataclass(frozen=True)
class TunedBackend:
    """The tuned model in the folder `model`. base: where its base model is, if not where it was.

    Loaded when it is first asked something. Raises as `load_tuned`; failures of single requests are those of
    `crowdllm.llm.transformers`.
    """

    model: str
    base: str = ""
    device: str = "auto"
    batch_size: int = 8

    @property
    def name(self) -> str:
        return Path(self.model).resolve().name

    @cached_property
    def identity(self) -> str:
        """The base model's and a hash of what was trained."""
        return tuned_identity(self.model)

    @property
    def scores(self) -> bool:
        return True

    @cached_property
    def _inner(self) -> TransformersBackend:
        tuned = load_tuned(self.model, self.base or None, self.device)
        ready = Ready(self.name, self.identity, tuned.model)
        return TransformersBackend(self.name, batch_size=self.batch_size, ready=ready)

    def ask(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Answer]:
        yield from self._inner.ask(requests, sampling)
