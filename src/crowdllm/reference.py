"""Reference decisions: what one or several LLMs answer to each problem, and what of it reaches the model.

An LLM is asked K times per problem (never per person); its answers are parsed by the response type, counted where
they do not parse, and aggregated per type (CrowdLLM, Algorithm 1 step 2): mean for numbers, majority for choices,
shares for ballots. A source may give a distribution instead of, or besides, draws. Whatever it gives reaches the
model as a tensor of named reference features per item (a problem, or one option of it).

Shapes: T problems, K draws, D response width, M levels or options, I items, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.problems import Problems, widest
from crowdllm.errors import MismatchError
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array, ResponseType

SOFT_DRAWS = 4
FLOOR = 0.01


@dataclass(frozen=True)
class Unread:
    """A draw of which nothing could be used. draw: from 0; outcome: "unparsable" or "failed" (the backend gave up).

    text: what the LLM said, or why the backend gave up; again: what it said when asked once more, with the format.
    """

    problem: str
    draw: int
    outcome: str
    text: str
    again: str = ""


@dataclass(frozen=True)
class Reference:
    """What one source (an LLM with a prompt) said.

    values_TKD: (T, K, D) parsed draws, NaN where a draw did not parse, failed or was not given.
    distribution_TM: (T, M) shares the source itself gave (elicited or option probabilities); NaN rows where none.
    mode: "decision", "samples", "options", "distribution" or "persona" (draw k is persona k's answer).
    asked: how many draws came back, over all problems: `unparsable` of them were no legal response, `failed` of them
        the backend gave up on; missing: how many more were wanted that the source does not have.
    unread: what is known of those that were unparsable or failed.
    twins: (K,) ids of the participants whose own descriptions the personas were; empty where they are nobody's twin.
    """

    name: str
    mode: str
    problem_ids: NDArray[np.object_]
    values_TKD: Array
    distribution_TM: Array | None = None
    asked: int = 0
    unparsable: int = 0
    note: str = ""
    failed: int = 0
    missing: int = 0
    unread: tuple[Unread, ...] = ()
    twins: tuple[str, ...] = ()

    @property
    def parse_rate(self) -> float:
        """The share of the draws that came back which are legal responses; 1 where none came back."""
        return 1.0 - (self.unparsable + self.failed) / self.asked if self.asked else 1.0

    def aligned(self, problems: Problems) -> Reference:
        """In the order of these problems; problems the source never saw become missing (NaN)."""
        where = pd.Index(self.problem_ids, dtype=object).get_indexer(pd.Index(problems.ids, dtype=object))
        values = _rows(self.values_TKD, where)
        shares = None if self.distribution_TM is None else _rows(self.distribution_TM, where)
        return replace(self, problem_ids=problems.ids, values_TKD=values, distribution_TM=shares)

    def summary(self, response_type: ResponseType, max_options: int) -> Array:
        """(T, M) distribution per problem: the given one where there is one, else that of the draws; NaN if neither.

        M is that of these problems: options that none of them has are left out, and lacking ones have share 0.
        """
        if response_type.has_options:  # here may be more options than where the scale was read
            response_type = cast(ResponseType, replace(cast(Any, response_type), max_options=max_options))
        out = np.full((len(self.problem_ids), response_type.summary_width(max_options)), np.nan)
        for t, draws_KD in enumerate(self.values_TKD):
            parsed = draws_KD[~np.isnan(draws_KD).any(axis=1)]
            if len(parsed):
                out[t] = _to_width(response_type.summarise(parsed), out.shape[1])
        if self.distribution_TM is not None:
            given = ~np.isnan(self.distribution_TM).any(axis=1)
            out[given] = _to_width(self.distribution_TM[given], out.shape[1])
        return out

    @property
    def soft(self) -> bool:
        """Whether the summary is a distribution worth its logarithm, rather than one or two decisions."""
        return self.distribution_TM is not None or self.values_TKD.shape[1] >= SOFT_DRAWS


@dataclass(frozen=True)
class References:
    """The sources that are combined, all in the order of the same T problems."""

    sources: tuple[Reference, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(source.name for source in self.sources)

    def aligned(self, problems: Problems) -> References:
        return References(tuple(source.aligned(problems) for source in self.sources))

    def decisions(self, response_type: ResponseType, max_options: int) -> Array:
        """y_ref: (T, 1) numbers for scales, (T, M) shares for options; the mean over sources, NaN if none."""
        parts = []
        for source in self.sources:
            summary = source.summary(response_type, max_options)
            parts.append(_scale_mean(response_type, summary) if not response_type.has_options else summary)
        return _nanmean(np.stack(parts))

    def features(self, response_type: ResponseType, problems: Problems) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        """(I, F) reference features and their names.

        An item is a problem for scales, one option of a problem (in order) for types with options. Missing
        references give zeros and set the feature `<source>?missing`.
        """
        max_options = widest(problems, response_type)
        blocks: list[NDArray[np.float64]] = []
        names: list[str] = []
        for source in self.sources:
            summary = source.summary(response_type, max_options)
            if response_type.has_options:
                block, labels = _option_features(summary, problems.option_counts, source.soft)
            else:
                block, labels = _scale_features(response_type, summary, source.soft)
            missing = np.asarray(np.isnan(block).any(axis=1))
            blocks += [np.where(missing[:, None], 0.0, block), missing[:, None].astype(float)]
            names += [f"{source.name}:{label}" for label in labels] + [f"{source.name}?missing"]
        if not blocks:
            items = int(problems.option_counts.sum()) if response_type.has_options else len(problems)
            return np.zeros((items, 0)), ()
        return np.concatenate(blocks, axis=1), tuple(names)

    def report(self) -> list[str]:
        """One line per source: how many answers it gave, how many did not parse, failed, or are missing."""
        return [_account(source) for source in self.sources]


def _account(source: Reference) -> str:
    text = f"{source.name} ({source.mode}): {source.asked:,} answers, {source.unparsable:,} unparsable"
    text += f" ({source.unparsable / source.asked:.1%})" if source.asked else ""
    text += f", {source.failed:,} failed" if source.failed else ""
    return text + (f", {source.missing:,} missing" if source.missing else "")


def _to_width(shares: Array, width: int) -> Array:
    """Shares over exactly `width` options: cut, or filled up with zeros, at the end."""
    lacking = max(width - shares.shape[-1], 0)
    return np.pad(shares[..., :width], [(0, 0)] * (shares.ndim - 1) + [(0, lacking)])


def _rows(array: Array, where_T: NDArray[np.int64]) -> Array:
    """The rows at these positions, NaN for position -1."""
    out = np.full((len(where_T), *array.shape[1:]), np.nan)
    out[where_T >= 0] = array[where_T[where_T >= 0]]
    return out


def _scale_mean(response_type: ResponseType, summary_TM: Array) -> Array:
    if isinstance(response_type, Ordinal):
        return summary_TM @ np.asarray(response_type.points)[:, None]
    return summary_TM.mean(axis=1, keepdims=True)


def _scale_features(response_type: ResponseType, summary_TM: Array, soft: bool) -> tuple[Array, list[str]]:
    mean = _scale_mean(response_type, summary_TM)
    if isinstance(response_type, Ordinal):
        points = np.asarray(response_type.points)
        centered = (mean - points.mean()) / points.std()
        shares = np.log(summary_TM + FLOOR) if soft else summary_TM
        label = "log share" if soft else "share"
        return np.c_[shares, centered], [*(f"{label} {level}" for level in response_type.levels), "mean"]
    if isinstance(response_type, Continuous):
        unit = (mean - response_type.center) / response_type.scale
        return np.c_[unit, summary_TM.std(axis=1) / response_type.scale], ["mean", "spread"]
    raise MismatchError(f"no reference features for the response type {response_type.kind!r}")


def _option_features(summary_TM: Array, option_counts_T: NDArray[np.int64], soft: bool) -> tuple[Array, list[str]]:
    per_option = np.concatenate([row[:count] * count for row, count in zip(summary_TM, option_counts_T, strict=True)])
    features = np.c_[per_option, np.log(per_option + 0.1)] if soft else per_option[:, None]
    return features, ["relative share", "log relative share"] if soft else ["relative share"]


def _nanmean(stack: Array) -> Array:
    known = ~np.isnan(stack)
    total = np.where(known, stack, 0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def combine(sources: Sequence[Reference], problems: Problems) -> References:
    """Several sources as one, in the order of the problems."""
    return References(tuple(source.aligned(problems) for source in sources))
