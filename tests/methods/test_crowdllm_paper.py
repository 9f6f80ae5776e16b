"""`crowdllm-paper` and `vae`: weights of eq. (4), the unit of decisions, and legal responses nearest to decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from crowdllm.belief.items import item_texts, make_items
from crowdllm.config import PaperConfig
from crowdllm.data.profiles import ProfileEncoder
from crowdllm.data.responses import Responses
from crowdllm.embedding import fit_embedder
from crowdllm.methods import crowdllm_paper
from crowdllm.methods.crowdllm_paper import fit_paper, to_decisions, to_responses
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking

Known = Callable[..., Any]


def responses_of(*rows: list[float]) -> Responses:
    count = len(rows)
    return Responses(np.arange(count), np.zeros(count, dtype=np.int64), np.array(rows, dtype=float))


# --- to decisions and back ------------------------------------------------------------------------------------


def test_ordinal_decisions_are_in_sds_of_the_scales_points(make_known: Known) -> None:
    """Points 1..5 have mean 3 and SD sqrt(2): level 5 is at 2 / sqrt(2), the clamps at -+ that."""
    decided, scale = to_decisions(Ordinal(tuple("12345")), responses_of([4], [2], [0]), _items(make_known, "ordinal"))
    np.testing.assert_allclose(decided[:, 0], [np.sqrt(2), 0, -np.sqrt(2)])
    assert (scale.center, scale.unit) == (3.0, pytest.approx(np.sqrt(2)))
    assert (scale.low, scale.high) == (pytest.approx(-np.sqrt(2)), pytest.approx(np.sqrt(2)))


def test_continuous_decisions_are_in_mean_and_sd_of_the_training_responses(make_known: Known) -> None:
    responses = responses_of([2], [4], [6], [8])
    decided, scale = to_decisions(Continuous(0.0, None), responses, _items(make_known, "bounded"))
    np.testing.assert_allclose(decided[:, 0], (np.array([2, 4, 6, 8]) - 5) / np.sqrt(5))
    assert scale.low == pytest.approx(-5 / np.sqrt(5))
    assert scale.high == np.inf


def test_option_decisions_are_shares_over_their_sd(make_known: Known) -> None:
    ballot = Ballot(2, 2, 5)
    decided, scale = to_decisions(ballot, responses_of([1, 1, 0, 0, 0], [0, 1, 0, 1, 0]), _items(make_known, "ballot"))
    shares = np.array([[0.5, 0.5, 0, 0, 0], [0, 0.5, 0, 0.5, 0]])
    np.testing.assert_allclose(decided * scale.unit, shares)
    assert scale.unit == pytest.approx(shares.std())
    assert (scale.low, scale.high) == (0.0, pytest.approx(1 / shares.std()))


def test_ranking_decisions_are_borda_shares(make_known: Known) -> None:
    """Ranks 1, 2, 3 of three options give 3, 2 and 1 of 6 points."""
    decided, scale = to_decisions(Ranking(0, 5), responses_of([2, 1, 3, 0, 0]), _items(make_known, "ranking"))
    np.testing.assert_allclose(decided[0] * scale.unit, [2 / 6, 3 / 6, 1 / 6, 0, 0])


def _items(make_known: Known, kind: str) -> Any:
    known = make_known(kind, people=5, problems=3)
    embedder = fit_embedder("tfidf", item_texts(known.study.problems, known.study.response_type))
    return make_items(known.study.problems, known.study.response_type, embedder, None)


@pytest.mark.parametrize(
    ("kind", "decided", "count", "expected"),
    [
        (Ordinal(("0", "1", "5")), [[0.4], [0.6], [3.1], [9.0]], 0, [[0], [1], [2], [2]]),
        (Continuous(), [[0.4]], 0, [[0.4]]),
        (Choice(3), [[0.1, 0.7, 0.9]], 2, [[1]]),
        (Ballot(2, 2, 4), [[0.1, 0.4, 0.3, 0.9]], 3, [[0, 1, 1, 0]]),
        # above half an even share of the most picks (1/6) are picked: two; then none, but one must be
        (Ballot(1, 3, 4), [[0.1, 0.4, 0.3, 0.0], [0.1, 0.0, 0.02, 0.05]], 4, [[0, 1, 1, 0], [1, 0, 0, 0]]),
        (Ranking(2, 4), [[0.1, 0.4, 0.3, 0.9]], 3, [[0, 1, 2, 0]]),
        (Ranking(0, 4), [[0.1, 0.4, 0.3, 0.9]], 3, [[3, 1, 2, 0]]),
        # of 10 points 4.5, 3.5 and 2: rounded down 4, 3, 2, and the point left to the first largest remainder
        (Points(10, 1, 3), [[0.45, 0.35, 0.2]], 3, [[5, 3, 2]]),
        (Points(10, 5, 3), [[0.45, 0.35, 0.2]], 3, [[5, 5, 0]]),
        (Points(9, 1, 4), [[-1.0, 0.0, -2.0, 5.0]], 3, [[3, 3, 3, 0]]),
    ],
)
def test_responses_are_the_legal_ones_nearest_to_the_decisions(
    kind: ResponseType, decided: list[list[float]], count: int, expected: list[list[float]]
) -> None:
    counts = np.full(len(decided), count)
    values = to_responses(kind, np.array(decided), counts)
    np.testing.assert_array_equal(values, expected)
    assert kind.legal(values, counts).all()


# --- training -------------------------------------------------------------------------------------------------


def test_every_participant_weighs_the_same_in_the_loss(make_known: Known) -> None:
    """Three answers of one and one of another: eq. (4) is the mean over people of the mean over their answers."""
    known = make_known("ordinal", people=2, problems=3)
    responses = known.study.responses.take(np.array([0, 1, 2, 4]))
    assert responses.participant_R.tolist() == [0, 0, 0, 1]
    study = replace(known.study, responses=responses)
    items = _items(make_known, "ordinal")
    target, _ = to_decisions(study.response_type, responses, items)
    encoder = ProfileEncoder.fit(study.profiles)
    data = crowdllm_paper._observations(study, items, encoder, target, np.zeros((3, 1)))
    loss = torch.tensor([1.0, 2.0, 6.0, 5.0])
    assert float((data.weight * loss).mean()) == pytest.approx(((1 + 2 + 6) / 3 + 5) / 2)


def test_an_observation_per_option_that_the_problem_has(make_known: Known) -> None:
    known = make_known("ballot", people=4, problems=3)
    items = _items(make_known, "ballot")
    target, _ = to_decisions(known.study.response_type, known.study.responses, items)
    encoder = ProfileEncoder.fit(known.study.profiles)
    data = crowdllm_paper._observations(known.study, items, encoder, target, np.zeros((3, 5)))
    assert len(data.y) == 4 * (3 + 4 + 5)


def test_without_any_reference_for_a_problem_the_training_mean_stands_in(make_known: Known) -> None:
    known = make_known("ordinal", people=5, problems=3)
    items = _items(make_known, "ordinal")
    scale = crowdllm_paper.Scale(3.0, 2.0, -1.0, 1.0)
    partly = replace(items, decision_TY=np.array([[5.0], [np.nan], [1.0]]))
    got = crowdllm_paper._reference(partly, scale, np.array([3.5]))
    np.testing.assert_allclose(got[:, 0], [(5 - 3) / 2, (3.5 - 3) / 2, (1 - 3) / 2])
    assert len(known.study.problems) == 3


def test_an_option_beyond_those_of_training_has_the_mean_over_options_for_its_default(make_known: Known) -> None:
    items = replace(_items(make_known, "ballot"), decision_TY=np.full((3, 5), np.nan))
    scale = crowdllm_paper.Scale(0.0, 1.0, 0.0, 1.0)
    got = crowdllm_paper._reference(items, scale, np.array([0.5, 0.1]))
    np.testing.assert_allclose(got, np.tile([0.5, 0.1, 0.3, 0.3, 0.3], (3, 1)))


def test_decisions_follow_the_references_where_these_are_right(make_known: Known) -> None:
    """With references that tell the truth the simulated means must order problems as the humans do."""
    known = make_known("ordinal", people=60, problems=12, strength=0.5)
    config = PaperConfig(max_epochs=15, hidden=30, noise=1.0)
    simulator = fit_paper(known.study, known.references, config, 0)
    crowd = simulator.generator.recruit(100, 0)
    i, t = np.repeat(np.arange(100), 12), np.tile(np.arange(12), 100)
    values = simulator.simulate(known.study.problems, known.references, crowd, i, t, 0)[:, 0]
    means = np.bincount(t, values) / 100
    truth = known.truth_TM @ np.arange(5)
    assert np.corrcoef(means, truth)[0, 1] > 0.9


def test_vae_takes_no_notice_of_references(make_known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowdllm_paper, "PaperConfig", partial(PaperConfig, max_epochs=2, hidden=10))
    known = make_known("ordinal", people=20, problems=6)
    simulator = crowdllm_paper.fit_without_llm(known.study, known.references, "tfidf", 0)
    crowd = simulator.generator.recruit(10, 0)
    i, t = np.repeat(np.arange(10), 6), np.tile(np.arange(6), 10)
    values = [simulator.simulate(known.study.problems, r, crowd, i, t, 0) for r in (known.references, None)]
    np.testing.assert_array_equal(*values)


def test_recruits_of_the_paper_have_independent_columns(make_known: Known) -> None:
    """Its generator draws each column from its own marginal; here `leaning` and `age` were tied by hand."""
    study = make_known("ordinal", people=200, problems=3, missing=0.0).study
    values = study.profiles.values_NC.copy()
    values[:, 1] = np.digitize(values[:, 0], [40, 55])
    study = replace(study, profiles=replace(study.profiles, values_NC=values))
    simulator = fit_paper(study, None, PaperConfig(max_epochs=1, hidden=5), 0)

    def tie(generator: ProfileGenerator) -> float:
        drawn = generator.recruit(3000, 0).values_NC
        return float(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1])

    assert abs(tie(simulator.generator)) < 0.06
    assert tie(ProfileGenerator.fit(study.profiles)) > 0.5
