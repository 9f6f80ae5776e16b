"""What an LLM's answers say before any human was asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from crowdllm.belief.items import make_items
from crowdllm.belief.reference_prior import AGREEMENT, _copula, reference_prior
from crowdllm.data.problems import Problems
from crowdllm.embedding import TfidfEmbedder
from crowdllm.reference import Reference, References
from crowdllm.responses.ordinal import Ordinal

LEVELS = Ordinal(("1", "2", "3"))


def decided(decisions: list[int], width: int = 3) -> np.ndarray:
    return np.eye(width)[decisions]


def test_the_prior_of_decisions_is_the_bivariate_normal_table() -> None:
    shares = decided([0] * 500 + [1] * 300 + [2] * 200)
    table = _copula(shares)
    marginal = (shares.sum(axis=0) + 0.5) / (len(shares) + 1.5)
    cut = norm.ppf(np.cumsum(marginal)[:-1])
    joint = multivariate_normal(cov=[[1, AGREEMENT], [AGREEMENT, 1]])
    # P(human = 0, LLM = 0) and P(human = 2, LLM = 2) are two corners of the bivariate normal
    assert table[0, 0] * marginal[0] == pytest.approx(joint.cdf([cut[0], cut[0]]), abs=2e-3)
    assert table[2, 2] * marginal[2] == pytest.approx(joint.cdf([-cut[1], -cut[1]]), abs=2e-3)
    assert table.sum(axis=1) == pytest.approx(1)


def test_the_prior_of_decisions_has_their_distribution_over_all_problems() -> None:
    shares = decided([0] * 700 + [1] * 100 + [2] * 200)
    marginal = (shares.sum(axis=0) + 0.5) / (len(shares) + 1.5)
    assert marginal @ _copula(shares) == pytest.approx(marginal, abs=1e-3)


def test_a_level_that_the_llm_never_used_is_unlikely_but_possible() -> None:
    table = _copula(decided([0] * 60 + [1] * 40))
    assert np.all(table > 0)
    assert table[0, 2] < table[1, 2] < 0.1


def references_of(problems: Problems, **given: np.ndarray) -> References:
    """Sources by name: (T,) decisions, or (T, M) distributions."""
    sources = []
    for name, values in given.items():
        soft = values.ndim == 2
        draws = np.full((len(values), 1, 1), np.nan) if soft else values.astype(float)[:, None, None]
        sources.append(Reference(name, "decision", problems.ids, draws, values if soft else None))
    return References(tuple(sources))


@pytest.fixture
def problems() -> Problems:
    return Problems(np.array(["a", "b"], dtype=object), np.array(["red apples", "green pears"], dtype=object))


def test_a_given_distribution_is_believed_as_it_stands(problems: Problems) -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    references = references_of(problems, bare=np.array([0, 2]), crowd=shares)
    items = make_items(problems, LEVELS, TfidfEmbedder.fit(list(problems.texts)), references)
    width = items.design().shape[1]
    prior = reference_prior(items, LEVELS, width, 3)
    assert prior is not None
    assert prior.soft
    raw = items.design() @ prior.weights_FW
    predicted = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(predicted, (shares + 0.01) / (shares + 0.01).sum(axis=1, keepdims=True), atol=1e-12)


def test_without_references_there_is_no_prior(problems: Problems) -> None:
    items = make_items(problems, LEVELS, TfidfEmbedder.fit(list(problems.texts)), None)
    assert reference_prior(items, LEVELS, items.design().shape[1], 3) is None


def test_decisions_lean_where_the_llm_leans(problems: Problems, make_references: Callable[..., References]) -> None:
    items = make_items(
        problems,
        LEVELS,
        TfidfEmbedder.fit(list(problems.texts)),
        references_of(problems, bare=np.array([0, 2])),
    )
    prior = reference_prior(items, LEVELS, items.design().shape[1], 3)
    assert prior is not None
    assert not prior.soft
    raw = items.design() @ prior.weights_FW
    assert raw[0].argmax() == 0
    assert raw[1].argmax() == 2
