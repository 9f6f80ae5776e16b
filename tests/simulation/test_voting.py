"""The published ballots: every one of a thousand simulated voters picks exactly five different projects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.belief.crowd_model import fit_crowd
from crowdllm.data.study_folder import load_study
from crowdllm.errors import DataUnavailableError
from crowdllm.simulation.plan import Settings
from crowdllm.simulation.run import simulate_crowd
from crowdllm.simulation.stream import stream_crowd


def test_simulated_voters_choose_exactly_five_projects(fast_config: Callable[..., Any], tmp_path: Path) -> None:
    from crowdllm.datasets import load_dataset

    try:
        study = load_dataset("voting")
    except DataUnavailableError as error:
        pytest.skip(str(error))
    model = fit_crowd(study, None, fast_config(max_epochs=1), 0)
    crowd = simulate_crowd(model, model.items, 1000, seed=0)
    ballots = crowd.responses.values_RD
    assert ballots.shape == (1000, 24)
    assert set(np.unique(ballots)) == {0.0, 1.0}
    assert (ballots.sum(axis=1) == 5).all()
    real = study.responses.values_RD.mean(axis=0)
    # 180 real voters: a project's share has a standard error of up to .037, a random ballot's share is 5/24
    assert np.abs(ballots.mean(axis=0) - real).mean() < 0.6 * np.abs(5 / 24 - real).mean()
    stream_crowd(model, {"model_hash": "0" * 64}, model.items, Settings(1000), tmp_path / "crowd")
    written = pd.read_csv(tmp_path / "crowd" / "responses.csv")["response"]
    assert all(len(set(cell.split("|"))) == 5 for cell in written)
    np.testing.assert_array_equal(load_study(tmp_path / "crowd").responses.values_RD, ballots)
