"""Decisions as torch operations: the same responses as those of the processor. Here torch computes on the processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from crowdllm.errors import ConfigError
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType
from crowdllm.rng import Counters, problem_keys, stable_keys, words
from crowdllm.simulation import device
from crowdllm.simulation.device import decide_grid_on, words_on
from crowdllm.simulation.grid import decide_grid

Make = Callable[..., Any]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
KINDS: dict[str, ResponseType] = {
    "ordinal": Ordinal(("1", "2", "3", "4", "5")),
    "choice": Choice(7),
    "ballot": Ballot(2, 2, 7),
    "approval": Ballot(0, 3, 7),
    "any number": Ballot(1, 7, 7),
    "many options": Choice(300),
}
LARGEST = 0xFFFFFFFF


@pytest.mark.parametrize("where", DEVICES)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_responses_are_those_of_the_processor(kind: ResponseType, where: str, make_terms: Make) -> None:
    terms, people = make_terms(kind, people=500)
    found = decide_grid_on(terms, people, 3, where)
    assert found.device.type == where
    assert found.dtype == (torch.int32 if kind == Choice(300) else torch.uint8)
    np.testing.assert_array_equal(found.cpu().numpy(), decide_grid(terms, people, 3))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("block", [1, 100, 5000])
def test_the_block_size_changes_nothing(kind: ResponseType, block: int, make_terms: Make) -> None:
    terms, people = make_terms(kind, people=30)
    np.testing.assert_array_equal(decide_grid_on(terms, people, 1, "cpu", block).numpy(), decide_grid(terms, people, 1))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_a_rounding_error_could_change_is_settled_by_the_definition(
    kind: ResponseType, make_terms: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a margin of .1 that is much, and with infinite margin everything; the responses stay the same."""
    terms, people = make_terms(kind, people=60)
    settled = []

    def counted(*pairs: Any) -> Any:
        settled.append(len(pairs[2]))
        return definition(*pairs)

    definition = device.decide_exactly
    monkeypatch.setattr(device, "decide_exactly", counted)
    for margin, most in ((0.1, 0.99), (1e3, 1.0)):
        settled.clear()
        monkeypatch.setattr(device, "MARGIN", margin)
        np.testing.assert_array_equal(decide_grid_on(terms, people, 2, "cpu").numpy(), decide_grid(terms, people, 2))
        assert 0 < sum(settled) <= most * 60 * 9


def test_words_are_those_of_the_keyed_generator() -> None:
    """Zeros by the published answer; extreme and random counters and keys against the processor's words."""
    rng = np.random.default_rng(0)
    person = np.append(rng.integers(2**63, size=50).astype(np.uint64), np.array([0, 2**64 - 1], dtype=np.uint64))
    keys = problem_keys(1, "response", np.append(stable_keys(["q"] * 50), person[-2:]))
    counters = (person & np.uint64(LARGEST), person >> np.uint64(32), np.full(52, 3, dtype=np.uint64))
    tensors = [torch.from_numpy(a.astype(np.int64)) for a in (*counters, *keys)]
    found = [word.numpy() for word in words_on(tuple(tensors[:3]), tuple(tensors[3:]))]  # type: ignore[arg-type]
    work = tuple(np.empty((6, 52), dtype=np.uint64))
    expected = words(Counters.of(person), keys, np.full(1, 3, dtype=np.uint64), work)
    for a, b in zip(found, expected, strict=True):
        assert a.tolist() == (b & np.uint64(LARGEST)).tolist()
    zero = torch.zeros(1, dtype=torch.int64)
    published = "6627e8d5 e169c58d bc57ac4c 9b00dbd8"
    assert " ".join(f"{int(word):08x}" for word in words_on((zero, zero, zero), (zero, zero))) == published


def test_other_response_types_are_refused(make_terms: Make) -> None:
    with pytest.raises(ConfigError, match=r"continuous responses .* use crowdllm.simulation.grid.decide_grid"):
        decide_grid_on(*make_terms(Continuous()), 0, "cpu")
