"""What a fold gave is kept under everything it depends on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.config import CrowdConfig
from crowdllm.estimation.cross_fit import cross_fit_people, cross_fit_problems
from crowdllm.estimation.estimands import make_columns
from crowdllm.estimation.fold_store import FoldStore

QUICK = CrowdConfig(
    max_epochs=1, belief_width=2, reference_penalties=(100.0,), embedding_penalties=(200.0,), effect_variances=(0.3,),
    profile_penalties=(80.0,), folds=2,
)  # fmt: skip


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    store = FoldStore(tmp_path / "parts", "a study")
    assert store.read("people-0") is None
    store.write("people-0", {"x": np.array([1.0, np.nan])})
    held = store.read("people-0")
    assert held is not None
    assert np.array_equal(held["x"], [1.0, np.nan], equal_nan=True)


def test_another_study_finds_nothing(tmp_path: Path) -> None:
    FoldStore(tmp_path, "a study").write("people-0", {"x": np.ones(1)})
    assert FoldStore(tmp_path, "another").read("people-0") is None


def test_a_damaged_file_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    store = FoldStore(tmp_path, "a study")
    store.write("people-0", {"x": np.ones(1000)})
    whole = store.path("people-0").read_bytes()
    store.path("people-0").write_bytes(whole[: len(whole) // 2])
    assert store.read("people-0") is None


def test_a_cross_fit_goes_on_where_it_was_stopped(
    tmp_path: Path, make_known: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_known("ordinal", people=16, problems=4).study
    columns = make_columns(study.response_type, study.problems, study.responses)
    store, fits = FoldStore(tmp_path, "a study"), list[int]()

    def stopped(*arguments: Any) -> CrowdModel:
        fits.append(1)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return fit_crowd(*arguments)

    monkeypatch.setattr("crowdllm.estimation.cross_fit.fit_crowd", stopped)
    with pytest.raises(KeyboardInterrupt):
        cross_fit_people(study, None, QUICK, columns, folds=2, store=store)
    made = cross_fit_people(study, None, QUICK, columns, folds=2, store=store)
    assert len(fits) == 3  # the first fold was not fitted again
    held = cross_fit_problems(study, None, QUICK, columns, folds=2, crowd_size=10, store=store)
    assert len(fits) == 5
    assert np.array_equal(
        cross_fit_people(study, None, QUICK, columns, folds=2, store=store).expected_RC, made.expected_RC
    )
    assert np.array_equal(cross_fit_problems(study, None, QUICK, columns, folds=2, crowd_size=10, store=store), held)
    assert len(fits) == 5


def test_a_file_that_was_never_filled_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    store = FoldStore(tmp_path, "a study")
    store.path("people-0").write_bytes(b"")
    assert store.read("people-0") is None
