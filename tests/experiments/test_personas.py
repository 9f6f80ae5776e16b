"""The recorded personas beside a named LLM are found for the method that needs them, and for no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crowdllm.data.new_study import new_study
from crowdllm.errors import DataUnavailableError
from crowdllm.experiments.personas import used_references, with_personas
from crowdllm.experiments.sources import Opened, open_references, open_study
from crowdllm.reference import Reference, References


def source(name: str, mode: str) -> Reference:
    return Reference(name, mode, np.array(["q"], dtype=object), np.zeros((1, 2, 1)))


def names(references: References | None) -> tuple[str, ...]:
    return references.names if references else ()


@pytest.fixture(name="opened")
def _opened(tmp_path: Path) -> Opened:
    new_study(tmp_path / "study")
    return open_study(str(tmp_path / "study"))


def test_personas_join_the_llm_they_belong_to_where_the_method_is_asked_for() -> None:
    try:
        opened = open_study("offensiveness")
        references = open_references(opened, "gpt4,elicited")
    except DataUnavailableError as error:
        pytest.skip(str(error))
    found = with_personas(opened, references, ("random", "multi-persona"))
    assert names(found) == ("gpt4", "elicited", "gpt4-personas")
    assert found is not None
    assert found.sources[-1].mode == "persona"
    assert with_personas(opened, references, ("random", "zero-shot")) is references


def test_personas_that_are_named_are_left_as_they_are(opened: Opened) -> None:
    references = References((source("llm", "decision"), source("other-personas", "persona")))
    assert with_personas(opened, references, ("multi-persona",)) is references


def test_where_none_are_recorded_or_no_references_are_wanted_nothing_joins(opened: Opened) -> None:
    references = References((source("llm", "decision"),))
    assert names(with_personas(opened, references, ("multi-persona",))) == ("llm",)
    assert with_personas(opened, None, ("multi-persona",)) is None


def test_what_is_used_is_what_some_method_is_given() -> None:
    references = References((source("llm", "decision"), source("llm-personas", "persona")))
    assert names(used_references(references, ("random", "zero-shot"))) == ("llm",)
    assert names(used_references(references, ("multi-persona",))) == ("llm-personas",)
    assert names(used_references(references, ("zero-shot", "multi-persona"))) == ("llm", "llm-personas")
    assert used_references(None, ("zero-shot",)) is None
