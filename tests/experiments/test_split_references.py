"""References of a split by option: in the parts' own order of options, and silent on the unseen ones in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from crowdllm.experiments.split_references import split_references
from crowdllm.reference import Reference, References

Known = Callable[..., Any]


def test_other_splits_leave_references_alone(make_known: Known) -> None:
    known = make_known("ordinal", people=20, problems=6)
    split = known.study.split("problem", 0.34, 0)
    assert split_references(known.references, split) == (known.references, known.references)
    assert split_references(None, split) == (None, None)


def test_shares_and_draws_follow_the_options_and_training_hears_nothing_of_the_unseen(make_known: Known) -> None:
    study = make_known("ballot", people=20, problems=2, same_options=True).study  # five options each
    split = study.split("option", 0.2, 1)
    shares = np.array([[0.1, 0.2, 0.3, 0.4, 0.0], [0.2, 0.2, 0.2, 0.2, 0.2]])
    draws = np.array([[[1.0, 1, 0, 0, 0], [np.nan] * 5], [[0, 0, 0, 1, 1], [0, 1, 0, 0, 1]]])
    whole = References((Reference("llm", "samples", study.problems.ids, draws, shares),))
    train, test = split_references(whole, split)
    assert train is not None
    assert test is not None
    assert split.option_order_TM is not None
    for t in range(2):
        order = split.option_order_TM[t]
        by_text = {o: (shares[t, m], draws[t, :, m]) for m, o in enumerate(study.problems.options[t])}
        for m, option in enumerate(split.test.problems.options[t]):
            share, draw_K = by_text[option]
            assert test.sources[0].distribution_TM is not None
            assert test.sources[0].distribution_TM[t, m] == share
            np.testing.assert_array_equal(test.sources[0].values_TKD[t, :, m], draw_K)
        assert train.sources[0].distribution_TM is not None
        kept = shares[t, order[:4]]
        np.testing.assert_allclose(train.sources[0].distribution_TM[t], [*(kept / kept.sum()), 0])
        legal = ~np.isnan(draws[t]).any(axis=1)
        assert (train.sources[0].values_TKD[t, legal, 4] == 0).all()
        np.testing.assert_array_equal(train.sources[0].values_TKD[t, :, :4], draws[t][:, order[:4]])
