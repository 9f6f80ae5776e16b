"""What a run's bytes depend on besides its settings."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import pytest

from crowdllm import __version__
from crowdllm.simulation.versions import arithmetic, versions


def test_versions_name_what_decides_and_writes_responses() -> None:
    found = versions()
    assert found["crowdllm"] == __version__
    assert found["numpy"] == version("numpy")
    assert set(found) == {"crowdllm", "numpy", "scipy", "torch", "pyarrow", "arithmetic"}
    assert "+" not in found["torch"]


def test_a_difference_in_the_last_digit_of_one_value_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = arithmetic()
    assert arithmetic() == before
    real = np.exp

    def other(values: np.ndarray) -> np.ndarray:
        out = real(values)
        out[1234] = np.nextafter(out[1234], np.inf)
        return out

    monkeypatch.setattr(np, "exp", other)
    assert arithmetic() != before
