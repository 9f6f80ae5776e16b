"""The benchmark of the simulation runs to its end and says what it measured; its numbers are not judged here."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from crowdllm.errors import DataUnavailableError
from crowdllm.responses.ordinal import Ordinal

FILE = Path(__file__).parents[2] / "benchmarks" / "simulation.py"


def benchmark() -> Any:
    if not FILE.is_file():
        pytest.skip("benchmarks/ is not there: clone the repository to run this test")
    spec = importlib.util.spec_from_file_location("simulation_benchmark", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_every_contestant_is_measured_and_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without data it takes the bundled study; small sizes."""
    module = benchmark()
    fit = module.fit

    def without_data(study: Any, *arguments: Any, **settings: Any) -> Any:
        if study == "offensiveness":
            raise DataUnavailableError("no data")
        return fit(study, *arguments, **settings)

    monkeypatch.setattr(module, "fit", without_data)
    out = tmp_path / "rates.json"
    sizes = ["--people", "300", "--ballots", "300", "--pairs", "2000", "--threads", "2", "--repeats", "2"]
    monkeypatch.setattr(sys, "argv", ["simulation.py", *sizes, "--crowd", "4000", "--json", str(out)])
    module.main()
    result = json.loads(out.read_text())
    assert result["data"] == "the bundled demo study"
    assert result["sizes"]["people"] == 300
    measured = {record["what"]: record for record in result["measurements"]}
    assert {"noise", "ordinal", "pairs", "torch", "ballots", "write", "stream", "crowd"} <= set(measured)
    for name, record in measured.items():
        assert len(record["rounds"]) == (1 if name == "crowd" else 2)
        assert record["per_second"] > 0
        assert record["to_noise"] > 0
    assert measured["noise"]["to_noise"] == 1


def test_made_up_ballots_are_five_of_twenty_four() -> None:
    module = benchmark()
    terms, people = module.made_up_ballots(50, 3)
    picks = module.decide_grid(terms, people, 0)
    assert picks.shape == (50, 1, 5)
    assert picks.max() < 24
    assert all(len(set(ballot)) == 5 for ballot in picks[:, 0].tolist())


def test_plain_torch_draws_the_same_distribution(make_terms: Any) -> None:
    """So that the comparison is fair: shares of 200,000 draws of one person differ by chance only (SE .0011)."""
    terms, people = make_terms(Ordinal(("1", "2", "3")), people=1, problems=1)
    levels = torch.cat(list(benchmark().torch_batches(terms, people, 200_000)))
    cut_P = terms.base_TP[0] * terms.spread_T[0] - terms.loadings_IZ[0] @ people.attitude_NZ[0]
    expected = np.diff(stats.norm.cdf(cut_P), prepend=0, append=1)
    assert np.abs(np.bincount(levels.numpy(), minlength=3) / 200_000 - expected).max() < 0.005
