"""Mean PPI against ppi-python (`ppi_py`), the reference implementation of prediction-powered inference."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.estimation.rectified import ppi_mean

ppi_py = pytest.importorskip("ppi_py", reason="the oracle ppi-python is not installed")


def data(seed: int, n: int, others: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth_n, truth_N = rng.normal(3, 1, n), rng.normal(3, 1, others)
    return truth_n + rng.normal(0, 0.5, n), 0.3 + 0.8 * truth_n, 0.3 + 0.8 * truth_N


@pytest.mark.parametrize("tuning", [None, 0.0, 0.4, 1.0])
@pytest.mark.parametrize(("seed", "n", "others"), [(0, 12, 300), (1, 200, 50), (2, 40, 4000)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_estimate_and_interval_agree(tuning: float | None, seed: int, n: int, others: int, level: float) -> None:
    y_n, f_n, f_N = data(seed, n, others)
    low, high = ppi_py.ppi_mean_ci(y_n, f_n, f_N, alpha=1 - level, lam=tuning)
    made = ppi_mean(y_n, f_n, f_N, level, tuning)
    assert made.mean == pytest.approx(float(np.squeeze(ppi_py.ppi_mean_pointestimate(y_n, f_n, f_N, lam=tuning))))
    assert (made.low, made.high) == pytest.approx((float(np.squeeze(low)), float(np.squeeze(high))))


@pytest.mark.parametrize("tuning", [None, 0.7])
def test_survey_weights_agree(tuning: float | None) -> None:
    y_n, f_n, f_N = data(3, 60, 500)
    rng = np.random.default_rng(4)
    w_n, w_N = rng.uniform(0.2, 3, 60), rng.uniform(0.2, 3, 500)
    low, high = ppi_py.ppi_mean_ci(y_n, f_n, f_N, alpha=0.05, lam=tuning, w=w_n, w_unlabeled=w_N)
    made = ppi_mean(y_n, f_n, f_N, 0.95, tuning, w_n, w_N)
    assert (made.low, made.high) == pytest.approx((float(np.squeeze(low)), float(np.squeeze(high))))
