"""What is known of a data set before it is loaded: its source, size, options, and what to watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crowdllm.datasets.download import SourceFile, is_local


@dataclass(frozen=True)
class DatasetCard:
    """One data set.

    url, licence: where it is published, and what is said there about its use.
    participants, problems, responses: N, T, R of the study that the default options give, as published.
    options: option name -> what it takes, with its default.
    notes: what to know before splitting, fitting or citing it; one line each.
    files: what the default options need.
    """

    name: str
    description: str
    url: str
    licence: str
    participants: int
    problems: int
    responses: int
    options: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    files: tuple[SourceFile, ...] = ()

    @property
    def available(self) -> bool:
        """Whether every file lies in the mirror folder or in the cache, so that loading needs no network."""
        return all(is_local(file) for file in self.files)

    @property
    def recorded(self) -> tuple[str, ...]:
        """The recorded LLM answers that go with it; see `crowdllm.datasets.recorded_answers`."""
        from crowdllm.datasets.recorded_answers import recorded_sources

        return tuple(recorded_sources(self.name))

    @property
    def checksums(self) -> str:
        """Whether the files' checksums are known, in words."""
        if not self.files:
            return "no files"
        unknown = [file.path for file in self.files if file.sha256 is None]
        return "known" if not unknown else f"not known for {', '.join(unknown)}"

    def source_lines(self) -> tuple[str, ...]:
        """The first lines of a study's `source`."""
        return (f"Source: {self.url}", f"Licence: {self.licence}")
