"""Read a row of a table of distributions: what share each level or option has, and what the crowd decided.

Shapes: M levels or options.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from crowdllm.data.study import Study
from crowdllm.responses.ordinal import Ordinal


def table_rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of a table by the names of its columns."""
    for cells in frame.itertuples(index=False, name=None):
        yield dict(zip(map(str, frame.columns), cells, strict=True))


def share_words(row: Mapping[str, Any], study: Study, t: int) -> dict[str, float]:
    """The share of each level, or of each option of problem t; empty where nobody answered, and for numbers.

    Of ballots, points and rankings: the option's share of all picks, points or Borda points.
    """
    if study.response_type.has_options:
        words, names = study.problems.options[t], [f"share_{m + 1}" for m in range(len(study.problems.options[t]))]
    elif isinstance(study.response_type, Ordinal):
        words = study.response_type.levels
        names = [f"share_{level}" for level in words]
    else:
        return {}
    shares = [float(row[name]) for name in names]
    if not np.isfinite(shares).all():
        return {}
    return dict(zip(words, shares, strict=True))


def most_given(shares: Mapping[str, float]) -> str:
    """The level or option with the largest share; the first of several."""
    return max(shares, key=lambda word: shares[word])


def picked_options(row: Mapping[str, Any], study: Study, t: int, ranked: bool) -> list[str]:
    """The options that most of the crowd picked (or ranked best), best first, as many as people pick on average."""
    options = study.problems.options[t]
    means = np.array([float(row[f"mean_{m + 1}"]) for m in range(len(options))])
    if not np.isfinite(means).all():
        return []
    depth = int(getattr(study.response_type, "depth", 0)) or len(options)
    count = min(depth, len(options)) if ranked else round(float(means.sum()))
    return [options[m] for m in np.argsort(-means, kind="stable")[:count].tolist()]
