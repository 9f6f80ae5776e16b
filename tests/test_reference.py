"""References: summaries, features with their names by hand, what is missing, and the order of the problems."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.data.problems import Problems
from crowdllm.reference import FLOOR, Reference, References, combine
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import QUANTILES, Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points

NAN = np.nan
THREE = Ordinal(("1", "2", "3"))


def problems(*ids: str, options: tuple[tuple[str, ...], ...] = ()) -> Problems:
    names = np.array(ids, dtype=object)
    return Problems(names, names, options)


def source(ids: str, values: list[list[list[float]]], shares: list[list[float]] | None = None) -> Reference:
    return Reference(
        name="llm",
        mode="samples",
        problem_ids=np.array(list(ids), dtype=object),
        values_TKD=np.array(values, dtype=float),
        distribution_TM=None if shares is None else np.array(shares, dtype=float),
    )


# --- summaries ----------------------------------------------------------------------------------------------------


def test_a_summary_counts_the_draws_that_parsed() -> None:
    draws = source("ab", [[[0], [2], [2], [NAN]], [[NAN]] * 4])
    summary = draws.summary(THREE, 0)
    assert summary[0] == pytest.approx([1 / 3, 0, 2 / 3])
    assert np.isnan(summary[1]).all()


def test_a_given_distribution_goes_before_the_draws() -> None:
    both = source("ab", [[[0]], [[0]]], [[0.2, 0.3, 0.5], [NAN, NAN, NAN]])
    assert both.summary(THREE, 0).tolist() == [[0.2, 0.3, 0.5], [1, 0, 0]]


@pytest.mark.parametrize("kind", [Choice(3), Ballot(1, 1, 3)], ids=["choice", "ballot"])
def test_a_summary_is_as_wide_as_the_widest_problem(kind: Choice | Ballot) -> None:
    """Whether the problems at hand have fewer options than those the scale was read from, or more."""
    width = {"choice": 1, "ballot": 5}[kind.kind]
    draws = source("a", [[[1.0] + [0.0] * (width - 1)]])
    assert draws.summary(kind, 5).shape == (1, 5)


def test_given_shares_are_cut_or_filled_up_at_their_end() -> None:
    """A problem with two options, from a study whose problems have up to four, beside problems with up to three."""
    given = source("a", [[[NAN] * 4]], [[0.4, 0.6, 0, 0]])
    assert given.summary(Choice(4), 2).tolist() == [[0.4, 0.6]]
    narrow = source("a", [[[NAN] * 2]], [[0.4, 0.6]])
    assert narrow.summary(Choice(2), 3).tolist() == [[0.4, 0.6, 0]]
    draws = source("a", [[[1, 0, 0, 0]]])
    assert draws.summary(Ballot(1, 1, 4), 2).tolist() == [[1, 0]]


# --- alignment ----------------------------------------------------------------------------------------------------


def test_aligning_follows_the_problems_and_leaves_unseen_ones_missing() -> None:
    both = source("abc", [[[0]], [[1]], [[2]]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    aligned = both.aligned(problems("c", "x", "a"))
    assert aligned.problem_ids.tolist() == ["c", "x", "a"]
    assert aligned.values_TKD[[0, 2], 0, 0].tolist() == [2, 0]
    assert np.isnan(aligned.values_TKD[1]).all()
    assert aligned.distribution_TM is not None
    assert aligned.distribution_TM[[0, 2]].tolist() == [[0, 0, 1], [1, 0, 0]]
    assert np.isnan(aligned.distribution_TM[1]).all()


def test_a_source_that_saw_no_problem_is_missing_everywhere() -> None:
    nothing = Reference("llm", "samples", np.array([], dtype=object), np.zeros((0, 2, 1)))
    assert np.isnan(nothing.aligned(problems("a", "b")).values_TKD).all()


def test_combining_aligns_every_source() -> None:
    first, second = source("ab", [[[0]], [[1]]]), source("ba", [[[2]], [[1]]])
    refs = combine([first, second], problems("b", "a"))
    assert refs.names == ("llm", "llm")
    assert [s.values_TKD[:, 0, 0].tolist() for s in refs.sources] == [[1, 0], [2, 1]]


# --- decisions ----------------------------------------------------------------------------------------------------


def test_the_decision_on_a_scale_is_the_mean_of_sources_that_have_one() -> None:
    """Levels 1 and 3 have mean 2; another source says 3; on b only one source speaks, on c none."""
    first = source("abc", [[[0], [2]], [[NAN], [NAN]], [[NAN], [NAN]]])
    second = source("abc", [[[2]], [[1]], [[NAN]]])
    decisions = References((first, second)).decisions(THREE, 0)
    assert decisions[:2, 0].tolist() == [2.5, 2]
    assert np.isnan(decisions[2, 0])


def test_the_decision_among_options_is_their_shares() -> None:
    draws = source("a", [[[1, 1, 0], [1, 0, 1]]])
    assert References((draws,)).decisions(Ballot(2, 2, 3), 3).tolist() == [[0.5, 0.25, 0.25]]


# --- features -----------------------------------------------------------------------------------------------------


def test_features_of_a_decision_on_a_scale_by_hand() -> None:
    """One decision is a share of 1, not worth its logarithm; points 1, 2, 3 have mean 2 and SD sqrt(2/3)."""
    x, names = References((source("ab", [[[2]], [[0]]]),)).features(THREE, problems("a", "b"))
    assert names == ("llm:share 1", "llm:share 2", "llm:share 3", "llm:mean", "llm?missing")
    sd = np.sqrt(2 / 3)
    assert x == pytest.approx(np.array([[0, 0, 1, 1 / sd, 0], [1, 0, 0, -1 / sd, 0]]))


def test_features_of_a_distribution_on_a_scale_are_log_shares() -> None:
    refs = References((source("a", [[[NAN]]], [[0.5, 0.5, 0]]),))
    x, names = refs.features(THREE, problems("a"))
    assert names[:3] == ("llm:log share 1", "llm:log share 2", "llm:log share 3")
    expected = [np.log(0.5 + FLOOR), np.log(0.5 + FLOOR), np.log(FLOOR), -0.5 / np.sqrt(2 / 3), 0]
    assert x[0] == pytest.approx(expected)


def test_four_draws_count_as_a_distribution_three_do_not() -> None:
    for draws, label in ((3, "share"), (4, "log share")):
        _, names = References((source("a", [[[0]] * draws]),)).features(THREE, problems("a"))
        assert names[0] == f"llm:{label} 1"


def test_a_missing_reference_is_zero_and_says_so() -> None:
    refs = References((source("ab", [[[2]], [[NAN]]]), source("ab", [[[NAN]], [[1]]])))
    x, names = refs.features(THREE, problems("a", "b"))
    missing = [i for i, name in enumerate(names) if name.endswith("?missing")]
    assert x[:, missing].tolist() == [[0, 1], [1, 0]]
    assert not x[1, :4].any()
    assert not x[0, 5:9].any()


def test_features_of_a_number_are_its_place_and_spread_on_the_unit() -> None:
    """Draws 10 and 30 have quantiles with mean 20; on centre 10 and scale 5 that is 2."""
    kind = Continuous(center=10.0, scale=5.0)
    x, names = References((source("a", [[[10], [30]]]),)).features(kind, problems("a"))
    assert names == ("llm:mean", "llm:spread", "llm?missing")
    quantiles = 10 + 20 * (np.arange(QUANTILES) + 0.5) / QUANTILES
    assert x[0] == pytest.approx([2, quantiles.std() / 5, 0])


def test_features_of_options_are_shares_relative_to_an_even_one() -> None:
    """Items are the options in order: 2 of problem a, then 3 of problem b; an even share counts 1."""
    items = problems("a", "b", options=(("x", "y"), ("x", "y", "z")))
    draws = source("ab", [[[3, 1, 0]], [[0, 4, 0]]])
    x, names = References((draws,)).features(Points(4, 1, 3), items)
    assert names == ("llm:relative share", "llm?missing")
    assert x[:, 0] == pytest.approx([1.5, 0.5, 0, 3, 0])
    assert x[:, 1].tolist() == [0] * 5


def test_features_of_soft_options_add_the_logarithm() -> None:
    items = problems("a", options=(("x", "y"),))
    refs = References((source("a", [[[NAN, NAN]]], [[0.75, 0.25]]),))
    x, names = refs.features(Choice(2), items)
    assert names == ("llm:relative share", "llm:log relative share", "llm?missing")
    assert x == pytest.approx(np.array([[1.5, np.log(1.6), 0], [0.5, np.log(0.6), 0]]))


def test_a_part_of_the_problems_with_fewer_options_has_the_same_features() -> None:
    """The scale knows of three options; the problem at hand has two."""
    items = problems("b", options=(("x", "y"),))
    for kind, width in ((Choice(3), 1), (Ballot(1, 1, 3), 3)):
        draws = source("b", [[[1.0] + [0.0] * (width - 1)]])
        x, _ = References((draws,)).features(kind, items)
        assert x[:, 0].tolist() == ([0, 2] if kind.kind == "choice" else [2, 0])


def test_no_sources_give_no_features_for_every_item() -> None:
    items = problems("a", "b", options=(("x", "y"), ("x", "y", "z")))
    x, names = References(()).features(Choice(3), items)
    assert (x.shape, names) == ((5, 0), ())
    x, names = References(()).features(THREE, problems("a", "b"))
    assert (x.shape, names) == ((2, 0), ())


def test_the_report_counts_what_was_asked_and_what_did_not_parse() -> None:
    refs = References(
        (
            Reference("gpt", "samples", np.array(["a"]), np.zeros((1, 1, 1)), asked=2000, unparsable=50),
            Reference("none", "decision", np.array(["a"]), np.zeros((1, 1, 1))),
            Reference("few", "persona", np.array(["a"]), np.zeros((1, 1, 1)), asked=10, failed=3, missing=2),
        )
    )
    assert refs.report() == [
        "gpt (samples): 2,000 answers, 50 unparsable (2.5%)",
        "none (decision): 0 answers, 0 unparsable",
        "few (persona): 10 answers, 0 unparsable (0.0%), 3 failed, 2 missing",
    ]
    assert [source.parse_rate for source in refs.sources] == [0.975, 1.0, 0.7]
