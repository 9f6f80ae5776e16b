"""Small studies whose true answer distribution is known, one for each response type; terms of made-up crowds.

Each person has an attitude a_i ~ N(0, 1), which the profile column "leaning" tells in part. On a scale, person i
feels m_t + strength * s_t * a_i + N(0, 1) about problem t (s_t = +1 or -1) and answers by fixed thresholds; among
options, the utility of option j is u_tj + strength * s_tj * a_i + Gumbel noise, and the best ones are taken.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crowdllm.config import CrowdConfig
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.reference import Reference, References
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType, as_torch
from crowdllm.responses.ranking import Ranking
from crowdllm.rng import stable_keys
from crowdllm.simulation.terms import GridTerms, PeopleTerms

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Array = NDArray[np.float64]
MOST = 5
TYPES: dict[str, ResponseType] = {
    "continuous": Continuous(),
    "bounded": Continuous(0.0, 10.0),
    "ordinal": Ordinal(("1", "2", "3", "4", "5")),
    "choice": Choice(MOST),
    "ballot": Ballot(2, 2, MOST),
    "approval": Ballot(1, 3, MOST),
    "points": Points(10, 1, MOST),
    "ranking": Ranking(0, MOST),
}
CUTS = np.array([-1.5, -0.5, 0.5, 1.5])
WORDS = ("amber", "birch", "cobalt", "dahlia", "ember", "fennel", "garnet", "hazel", "indigo", "juniper")
COLUMNS = (
    ProfileColumn("age", "numeric", label="age in years"),
    ProfileColumn("leaning", "ordinal", ("low", "middle", "high")),
    ProfileColumn("region", "categorical", ("north", "south")),
)
PICKS_SHARE = (0.5, 0.3, 0.2)


@dataclass(frozen=True)
class Known:
    """A study, its true summaries (T, M) in the response type's form, and references that tell exactly these."""

    study: Study
    truth_TM: Array
    references: References


def _people(count: int, rng: np.random.Generator, attitude_N: Array, missing: float) -> Profiles:
    values = np.stack(
        [
            np.clip(np.round(45 + 15 * rng.standard_normal(count)), 18, 90),
            np.searchsorted([-0.5, 0.5], attitude_N + 0.3 * rng.standard_normal(count)).astype(float),
            rng.integers(0, 2, count).astype(float),
        ],
        axis=1,
    )
    values[rng.random(values.shape) < missing] = np.nan
    return Profiles(COLUMNS, np.array([f"person-{i:04d}" for i in range(count)], dtype=object), values)


def _problems(count: int, kind: ResponseType, same_options: bool) -> Problems:
    texts = [f"A question about {WORDS[t % 10]} and {WORDS[(3 * t + 1) % 10]}, part {t}" for t in range(count)]
    options: tuple[tuple[str, ...], ...] = ()
    if kind.has_options:
        sizes = [MOST if same_options else 3 + t % (MOST - 2) for t in range(count)]
        first = [0 if same_options else t for t in range(count)]
        options = tuple(
            tuple(f"{WORDS[(k + 2 * j) % 10]} {j}" for j in range(m)) for k, m in zip(first, sizes, strict=True)
        )
    ids = np.array([f"q{t:02d}" for t in range(count)], dtype=object)
    return Problems(ids, np.array(texts, dtype=object), options)


def _answer(kind: ResponseType, felt_BU: Array, count_B: NDArray[np.int64], rng: np.random.Generator) -> Array:
    """(B, D) responses from what is felt about the problem (B, 1) or its options (B, M), noise not yet added."""
    if not kind.has_options:
        value = felt_BU[:, 0] + rng.standard_normal(len(felt_BU))
        if isinstance(kind, Ordinal):
            return (value[:, None] > CUTS).sum(axis=1, keepdims=True).astype(float)
        assert isinstance(kind, Continuous)
        low, high = (-np.inf if kind.low is None else kind.low), (np.inf if kind.high is None else kind.high)
        return np.clip(5 + 2 * value, low, high)[:, None]
    present = np.arange(felt_BU.shape[1]) < count_B[:, None]
    if isinstance(kind, Points):
        share = np.where(present, np.exp(felt_BU), 0)
        share /= share.sum(axis=1, keepdims=True)
        return np.stack([rng.multinomial(kind.budget, p) for p in share]).astype(float)
    utility = np.where(present, felt_BU + rng.gumbel(size=felt_BU.shape), -np.inf)
    rank = np.argsort(np.argsort(-utility, axis=1), axis=1)
    if isinstance(kind, Choice):
        return utility.argmax(axis=1, keepdims=True).astype(float)
    if isinstance(kind, Ranking):
        return np.where(present, rank + 1, 0).astype(float)
    assert isinstance(kind, Ballot)
    size = np.full(len(felt_BU), kind.max_picks)
    if kind.min_picks < kind.max_picks:
        size = rng.choice(np.arange(kind.min_picks, kind.max_picks + 1), p=PICKS_SHARE, size=len(felt_BU))
    return (rank < size[:, None]).astype(float)


def known_study(
    kind: str = "ordinal",
    people: int = 60,
    problems: int = 9,
    per_person: int | None = None,
    strength: float = 1.0,
    missing: float = 0.1,
    same_options: bool = False,
    seed: int = 0,
) -> Known:
    """`per_person` problems each (all when None), and the truth from 3,000 further people."""
    rng = np.random.default_rng(seed)
    response_type = TYPES[kind]
    items = _problems(problems, response_type, same_options)
    width = MOST if response_type.has_options else 1
    location_TU = 0.8 * rng.standard_normal((problems, width))
    sign_TU = rng.choice([-1.0, 1.0], size=(problems, width))

    def ask(attitude_N: Array, pair_N: NDArray[np.int64], pair_T: NDArray[np.int64]) -> Array:
        felt = location_TU[pair_T] + strength * sign_TU[pair_T] * attitude_N[pair_N, None]
        return _answer(response_type, felt, items.option_counts[pair_T], rng)

    attitude_N = rng.standard_normal(people)
    profiles = _people(people, rng, attitude_N, missing)
    asked = np.argsort(rng.random((people, problems)), axis=1)[:, : per_person or problems]
    person_R, problem_R = np.repeat(np.arange(people), asked.shape[1]), np.sort(asked, axis=1).reshape(-1)
    study = Study(
        title=f"Known {kind} study",
        response_type=response_type,
        problems=items,
        profiles=profiles,
        responses=Responses(person_R, problem_R, ask(attitude_N, person_R, problem_R)),
        requirements="What do you think?",
    )
    others = rng.standard_normal(3000)
    everybody = np.arange(len(others))
    truth = np.stack(
        [response_type.summarise(ask(others, everybody, np.full(len(others), t))) for t in range(problems)]
    )
    return Known(study, truth, soft_references(study, truth))


def soft_references(study: Study, shares_TM: Array, name: str = "oracle") -> References:
    """One source that gives these distributions (draws at these quantiles for numbers)."""
    width = study.response_type.width(int(study.problems.option_counts.max(initial=0)))
    source = Reference(
        name=name,
        mode="distribution",
        problem_ids=study.problems.ids,
        values_TKD=np.full((len(study.problems), 1, width), np.nan),
        distribution_TM=shares_TM,
        asked=len(study.problems),
    )
    if not study.response_type.has_options and isinstance(study.response_type, Continuous):
        source = replace(source, values_TKD=shares_TM[:, :, None], distribution_TM=None, mode="samples")
    return References((source,))


def made_up_terms(
    kind: ResponseType, people: int = 40, problems: int = 9, width: int = 3, strength: float = 1.0, seed: int = 0
) -> tuple[GridTerms, PeopleTerms]:
    """What a crowd's decisions are made from, with random parameters and no fit; problems have 3 and more options."""
    rng = np.random.default_rng(seed)
    most = int(getattr(kind, "max_options", 0))
    count_T = 3 + np.arange(problems) % (most - 2) if kind.has_options else np.zeros(problems, dtype=np.int64)
    items_T = np.maximum(count_T, 1)
    first_T, column = np.cumsum(items_T) - items_T, np.arange(max(most, 1))
    item_TU = np.where(column < items_T[:, None], first_T[:, None] + column, -1)
    raw_TW = strength * rng.standard_normal((problems, kind.raw_width(most)))
    loadings_IZ = strength * rng.standard_normal((int(items_T.sum()), width))
    terms = GridTerms(
        response_type=kind,
        item_TU=item_TU,
        loadings_IZ=loadings_IZ,
        base_TP=kind.base(as_torch(raw_TW)).numpy(),
        spread_T=np.sqrt(1 + (loadings_IZ**2).sum(axis=1))[item_TU[:, 0]],
        count_T=count_T,
        key_T=stable_keys([f"q{t}" for t in range(problems)]),
    )
    return terms, PeopleTerms(rng.standard_normal((people, width)), stable_keys([f"s{i}" for i in range(people)]))


@pytest.fixture(scope="session")
def make_terms() -> Callable[..., tuple[GridTerms, PeopleTerms]]:
    """make_terms(response type, people=40, problems=9, ...) -> (terms, people); see `made_up_terms`."""
    return made_up_terms


@pytest.fixture(scope="session")
def make_known() -> Callable[..., Known]:
    """make_known(kind, people=60, problems=9, ...) -> Known(study, truth_TM, references); see `known_study`."""
    return known_study


@pytest.fixture(scope="session")
def make_references() -> Callable[..., References]:
    """make_references(study, shares_TM, name="oracle") -> References of one source."""
    return soft_references


@pytest.fixture(scope="session")
def fast_config() -> Callable[..., CrowdConfig]:
    """fast_config(max_epochs=...) -> settings with nothing to choose between and few epochs, for quick fits."""

    def make(**settings: object) -> CrowdConfig:
        quick = {"belief_width": 2, "max_epochs": 6, "prediction_draws": 32, "effect_variances": (0.3,)}
        quick |= {"embedding_penalties": (30.0, 30.0), "reference_penalties": (30.0,), "profile_penalties": (8.0,)}
        return CrowdConfig(**quick | settings)

    return make


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser, started once: a second loop of Playwright's would not start in the same process."""
    if not CHROMIUM:
        message = "no Chromium here: install it (apt-get install chromium) to test the pages in a real browser"
        if os.environ.get("CROWDLLM_NEEDS_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()
