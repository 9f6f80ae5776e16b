"""Tiny language models, and surveys whose true distributions are known."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.llm.prompts.template import DEFAULTS, Template
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal

TINY = Path(__file__).parents[1] / "llm" / "tiny_model.py"
SHARES = {
    ("left", 0): (0.5, 0.3, 0.15, 0.05),
    ("right", 0): (0.05, 0.1, 0.25, 0.6),
    ("left", 1): (0.1, 0.2, 0.3, 0.4),
    ("right", 1): (0.4, 0.3, 0.2, 0.1),
}
GROUPS = ("left", "right")
SHORT = DEFAULTS | {"multi-persona": Template("multi-persona", "{profile}\n{item}\n{instructions}")}
"""Templates with few words, so that byte-level prompts are short."""


@pytest.fixture(scope="session", autouse=True)
def one_core() -> Iterator[None]:
    """Tiny tensors gain nothing from several threads, and lose much where other programs run."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """tiny(family, seed=2, width=32, ...) -> the folder of a model with random weights, made once."""
    pytest.importorskip("transformers", reason="for this test: pip install 'crowdllm[tune]'")
    build = runpy.run_path(str(TINY))["build"]

    @cache
    def make(family: str = "llama", **settings: Any) -> str:
        return str(build(tmp_path_factory.mktemp(family), family, **settings))

    return make


def people(group_N: NDArray[np.int64]) -> Profiles:
    ids = np.array([f"p{n:04d}" for n in range(len(group_N))], dtype=object)
    columns = (ProfileColumn("leaning", "categorical", GROUPS), ProfileColumn("age", "numeric", label="age in years"))
    age_N = np.full(len(group_N), 40.0)
    return Profiles(columns, ids, np.stack([group_N.astype(float), age_N], axis=1))


def exact_study(count: int = 40) -> Study:
    """Per group `count` people whose answers have exactly the shares in SHARES (a multiple of 20)."""
    group_N = np.repeat([0, 1], count)
    rows = []
    for g, group in enumerate(GROUPS):
        for t in range(2):
            given = np.repeat(np.arange(4), np.round(np.array(SHARES[group, t]) * count).astype(int))
            order = np.random.default_rng(10 * g + t).permutation(count)
            rows += [(g * count + int(n), t, int(y)) for n, y in zip(order, given, strict=True)]
    row = np.array(rows)
    return Study(
        title="Two groups",
        response_type=Ordinal(("1", "2", "3", "4"), ends=("no", "yes")),
        problems=Problems(
            np.array(["tea", "coffee"], dtype=object), np.array(["Is tea good?", "Is coffee good?"], dtype=object)
        ),
        profiles=people(group_N),
        responses=Responses(row[:, 0], row[:, 1], row[:, 2:].astype(float)),
    )


@pytest.fixture(scope="session")
def two_groups() -> Callable[..., Study]:
    """two_groups(count=40) -> a study whose answers have exactly the shares in SHARES; see `exact_study`."""
    return exact_study


@pytest.fixture(scope="session")
def shares_of() -> dict[tuple[str, int], tuple[float, ...]]:
    return SHARES


@pytest.fixture(scope="session")
def short() -> dict[str, Template]:
    return SHORT


@pytest.fixture(scope="session")
def of_kind() -> Callable[[str], Study]:
    """of_kind("ordinal", "choice" or "continuous") -> twelve people in two groups who answered two questions."""

    def make(kind: str) -> Study:
        study = replace(exact_study(20).subset(np.arange(2), np.r_[0:6, 20:26]), title=f"A {kind} study")
        answers = study.responses
        if kind == "choice":
            options = (("red", "blue", "green", "grey"), ("tea", "milk", "beer", "water"))
            return replace(study, response_type=Choice(4), problems=replace(study.problems, options=options))
        if kind == "continuous":
            numbers = np.array([5.0, 80.0, 1250.0, 7.5])[answers.values_RD.astype(int)]
            return replace(study, response_type=Continuous(), responses=replace(answers, values_RD=numbers))
        return study

    return make
