"""Majority vote, Dawid-Skene and GLAD equal crowd-kit 1.4.2's on shared inputs.

Tolerances. Shares are equal to the last bit. Dawid-Skene probabilities: 2e-10, because crowd-kit raises its
final ones to at least 1e-10. GLAD: 1e-6, and 2e-3 where some people answer contrary to the truth: its M-step
stops long before the optimum, and 25 conjugate-gradient steps on a surface that is not concave carry rounding
differences far (crowd-kit's own probabilities move by 3e-4 on the largest of these tables when its rows are
reordered); with M-steps run to the optimum it is 1e-5 there too. Decisions are equal wherever the two best
levels are further apart than twice the tolerance. On a tie crowd-kit takes the level that stands first in the
table (majority vote, Dawid-Skene), so it is given tables sorted by level: there it is the lowest, as in ours.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdllm.aggregation import aggregate
from crowdllm.data.responses import Responses
from crowdllm.responses.ordinal import Ordinal

crowdkit = pytest.importorskip("crowdkit.aggregation", reason="pip install 'crowdllm[test]' brings crowd-kit")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:crowdkit", "ignore::RuntimeWarning:crowdkit")

# problems, participants, share of the pairs that exist, levels
SIZES = [(4, 3, 0.9, 2), (12, 6, 0.7, 3), (40, 15, 0.4, 5), (150, 40, 0.15, 7), (400, 60, 0.12, 4)]
CASES = [(*size, kind, seed) for seed, size in enumerate(SIZES) for kind in ("good", "noise", "contrary")]
cases = pytest.mark.parametrize(("problems", "people", "share", "levels", "kind", "seed"), CASES)


def random_table(problems, people, share, levels, kind, seed):
    """No pair twice. good: mostly right; noise: any answer; contrary: rare levels, some people wrong."""
    rng = np.random.default_rng(1000 + seed)
    pair = rng.permutation(problems * people)[: max(int(share * problems * people), 2)]
    problem, worker = np.divmod(pair, people)
    weight = np.ones(levels) if kind != "contrary" else 0.4 ** np.arange(levels)
    truth = rng.choice(levels, problems, p=weight / weight.sum())
    accuracy = {"good": rng.uniform(0.5, 0.95, people), "noise": np.zeros(people)}.get(kind)
    if accuracy is None:
        accuracy = np.where(rng.random(people) < 0.2, 0.05, 0.8)
    right = rng.random(len(pair)) < accuracy[worker]
    label = np.where(right, truth[problem], rng.integers(0, levels, len(pair)))
    return pd.DataFrame({"task": problem, "worker": worker, "label": label})


def ours(table, method, problems, people, levels, **settings):
    responses = Responses(
        table["worker"].to_numpy(), table["task"].to_numpy(), table[["label"]].to_numpy().astype(float)
    )
    scale = Ordinal(tuple(str(level) for level in range(levels)))
    return aggregate(responses, scale, problems, people, method, **settings)


def compare(found, theirs, levels, atol):
    """Probabilities and, where the best two are further apart than the tolerance, labels."""
    expected = theirs.probas_.reindex(columns=range(levels)).fillna(0.0).sort_index()
    np.testing.assert_allclose(found.distribution_TM[expected.index], expected.to_numpy(), atol=atol, rtol=0)
    unanswered = np.setdiff1d(np.arange(len(found.decision_TD)), expected.index)
    assert np.isnan(found.decision_TD[unanswered]).all()
    best = np.sort(expected.to_numpy(), axis=1)
    clear = best[:, -1] - best[:, -2] > 2 * atol
    labels = theirs.labels_.sort_index()
    np.testing.assert_array_equal(found.decision_TD[labels.index, 0][clear], labels.to_numpy()[clear])


@cases
def test_majority_vote(problems, people, share, levels, kind, seed):
    table = random_table(problems, people, share, levels, kind, seed).sort_values("label")
    found = ours(table, "majority_vote", problems, people, levels)
    theirs = crowdkit.MajorityVote().fit(table)
    compare(found, theirs, levels, atol=0)
    labels = theirs.labels_.sort_index()
    np.testing.assert_array_equal(found.decision_TD[labels.index, 0], labels.to_numpy())
    np.testing.assert_allclose(found.skill_N[theirs.skills_.index], theirs.skills_.to_numpy(), rtol=1e-12)


@cases
def test_dawid_skene(problems, people, share, levels, kind, seed):
    table = random_table(problems, people, share, levels, kind, seed).sort_values("label")
    found = ours(table, "dawid_skene", problems, people, levels)
    theirs = crowdkit.DawidSkene().fit(table)
    assert found.iterations == len(theirs.loss_history_)
    compare(found, theirs, levels, atol=2e-10)
    for worker, errors in theirs.errors_.groupby(level="worker"):
        right = sum(theirs.priors_[c] * errors.loc[(worker, c), c] for c in errors.index.get_level_values("label"))
        assert found.skill_N[worker] == pytest.approx(right, abs=1e-8)


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_dawid_skene_stopped_early(iterations):
    table = random_table(40, 15, 0.4, 5, "good", 7)
    found = ours(table, "dawid_skene", 40, 15, 5, max_iterations=iterations, tolerance=0)
    compare(found, crowdkit.DawidSkene(n_iter=iterations, tol=0).fit(table), 5, atol=2e-10)
    assert (found.iterations, found.converged) == (iterations, False)


@cases
def test_glad(problems, people, share, levels, kind, seed):
    table = random_table(problems, people, share, levels, kind, seed)
    found = ours(table, "glad", problems, people, levels)
    theirs = crowdkit.GLAD().fit(table)
    atol = 2e-3 if kind == "contrary" else 1e-6
    compare(found, theirs, levels, atol)
    np.testing.assert_allclose(found.skill_N[theirs.alphas_.index], theirs.alphas_.to_numpy(), atol=atol)
    if kind != "contrary":
        assert found.iterations == len(theirs.loss_history_)


@pytest.mark.parametrize("case", [(40, 15, 0.4, 5, "good", 7), (400, 60, 0.12, 4, "contrary", 4)])
def test_glad_with_m_steps_run_to_their_optimum(case):
    """No rounding is carried along here: both find the same maximum."""
    problems, people, _, levels, _, _ = case
    table = random_table(*case)
    found = ours(
        table,
        "glad",
        problems,
        people,
        levels,
        m_step_iterations=500,
        m_step_tolerance=1e-5,
        max_iterations=2,
    )
    theirs = crowdkit.GLAD(m_step_max_iter=500, m_step_tol=1e-5, n_iter=2).fit(table)
    compare(found, theirs, levels, atol=1e-5)
    np.testing.assert_allclose(found.skill_N[theirs.alphas_.index], theirs.alphas_.to_numpy(), atol=1e-5)


def test_a_level_that_nobody_gave_is_no_class_in_either():
    table = random_table(40, 15, 0.4, 3, "good", 8)
    table["label"] += table["label"] > 0  # 0, 2, 3 of a scale of 0..4
    for method, theirs, atol in (
        ("dawid_skene", crowdkit.DawidSkene(), 2e-10),
        ("glad", crowdkit.GLAD(), 1e-6),
    ):
        compare(ours(table, method, 40, 15, 5), theirs.fit(table), 5, atol)


def test_one_response():
    table = pd.DataFrame({"task": [1], "worker": [2], "label": [3]})
    for method, theirs in (
        ("majority_vote", crowdkit.MajorityVote()),
        ("dawid_skene", crowdkit.DawidSkene()),
    ):
        found = ours(table, method, 3, 4, 5)
        compare(found, theirs.fit(table), 5, atol=2e-10)
        assert found.decision_TD[1, 0] == 3
