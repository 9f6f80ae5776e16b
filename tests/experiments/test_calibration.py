"""Calibration measures on held-out problems, and corrects a panel that is wrong in a way that people can teach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdllm.belief.crowd_model import fit_crowd
from crowdllm.cli import main
from crowdllm.config import CrowdConfig
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.data.study_folder import save_study
from crowdllm.errors import ConfigError
from crowdllm.exchange.panel_answers import read_panel
from crowdllm.experiments.calibration import calibrate, distribution_table, fidelity_table, improvement_table
from crowdllm.reference import combine
from crowdllm.responses.ordinal import Ordinal

PROBLEMS, PEOPLE, OPEN = 40, 12, 3


@pytest.fixture(scope="module")
def study() -> Study:
    """What people rate low the panel rates high, and the other way round; nobody has answered the last three."""
    rng = np.random.default_rng(0)
    centre_T = np.linspace(0, 4, PROBLEMS)[rng.permutation(PROBLEMS)]
    i, t = (grid.ravel() for grid in np.meshgrid(np.arange(PEOPLE), np.arange(PROBLEMS - OPEN), indexing="ij"))
    level = np.clip(np.round(centre_T[t] + rng.normal(0, 0.7, len(t))), 0, 4)
    ids = np.array([f"q{n}" for n in range(PROBLEMS)], dtype=object)
    people = Profiles((), np.array([f"p{n}" for n in range(PEOPLE)], dtype=object), np.zeros((PEOPLE, 0)))
    texts = np.array([f"=statement {n}" for n in range(PROBLEMS)], dtype=object)
    scale = Ordinal(("1", "2", "3", "4", "5"))
    problems = Problems(ids, texts, attributes=pd.DataFrame({"centre": centre_T}))
    return Study("upside down", scale, problems, people, Responses(i, t, level[:, None]))


@pytest.fixture(scope="module")
def panel(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six LLM answers to every problem, mirrored."""
    rng = np.random.default_rng(1)
    centre = study.problems.attributes["centre"].to_numpy()
    rows = [
        (study.problems.ids[t], int(np.clip(np.round(6 - (centre[t] + 1) + rng.normal(0, 0.4)), 1, 5)))
        for t in range(PROBLEMS)
        for _ in range(6)
    ]
    path = tmp_path_factory.mktemp("panel") / "mirror.csv"
    pd.DataFrame(rows, columns=["problem", "answer"]).to_csv(path, index=False)
    return path


def test_the_calibrated_distributions_follow_the_humans(study: Study, panel: Path) -> None:
    """The quick sibling of the next: one fit with little to choose from."""
    references = combine(read_panel(panel, study).sources, study.problems)
    one = {"reference_penalties": (10.0,), "embedding_penalties": (200.0,), "effect_variances": (0.3,)}
    model = fit_crowd(study, references, CrowdConfig(max_epochs=3, profile_penalties=(80.0,), **one))
    table = distribution_table(study, references, model, np.arange(PROBLEMS), "hash", 0)
    assert (table["simulated"].all(), set(table["model_hash"]), set(table["seed"])) == (True, {"hash"}, {0})
    require_put_right(table, study)


def require_put_right(table: pd.DataFrame, study: Study) -> None:
    """Each problem's shares add up to 1, and the means of the open ones go with the truth, not with the panel."""
    assert set(table["problem"]) == set(study.problems.ids)  # those without human responses too
    assert table.groupby("problem")["calibrated"].sum().to_numpy() == pytest.approx(1)
    assert table[table["problem"] == f"q{PROBLEMS - 1}"]["human"].isna().all()
    assert (table["panel_answers"] == 6).all()
    points, truth = table["value"].astype(int), study.problems.attributes["centre"].to_numpy()
    for column, sign in (("calibrated", 1), ("panel", -1)):
        mean = (points * table[column]).groupby(table["problem"]).sum()[study.problems.ids].to_numpy()
        assert sign * np.corrcoef(mean[-OPEN:], truth[-OPEN:])[0, 1] > 0.8


@pytest.mark.slow
def test_a_mirrored_panel_is_put_right(study: Study, panel: Path, tmp_path: Path) -> None:
    found = calibrate(study, [panel], tmp_path / "out", splits=2)
    mae = found.fidelity[found.fidelity["metric"] == "mae"].set_index("method")["mean"]
    assert mae["zero-shot"] > 1.5  # the mirror image of a uniform 1..5 is 2 away on average
    assert mae["crowdllm"] < 0.6
    assert mae["crowdllm"] < mae["pooled"] / 1.5
    gain = found.improvement[(found.improvement["against"] == "zero-shot") & (found.improvement["metric"] == "mae")]
    assert gain["difference"].item() == pytest.approx(mae["crowdllm"] - mae["zero-shot"], abs=1e-9)
    require_put_right(found.distributions, study)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"comparison", "distributions.csv", "fidelity.csv", "improvement.csv", "model", "references"}


def test_too_few_problems_with_both_are_refused(study: Study, panel: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    few.write_text("".join(panel.read_text().splitlines(keepends=True)[: 1 + 6 * 5]))
    with pytest.raises(ConfigError, match="5 problems have human responses and answers of the panel; at least 10"):
        calibrate(study, [few], tmp_path / "out")


def test_intervals_are_paired_over_splits() -> None:
    """Differences 1, 2, 3 have mean 2 and a standard error of 1 / sqrt(3); t with 2 degrees of freedom is 4.3027."""
    rows = [
        (m, "mae", s, v) for m, vs in {"zero-shot": (2, 4, 6), "crowdllm": (1, 2, 3)}.items() for s, v in enumerate(vs)
    ]
    table = pd.DataFrame(rows, columns=["method", "metric", "seed", "value"])
    gain = improvement_table(table).set_index("against").loc["zero-shot"]
    half = 4.302652729911275 / np.sqrt(3)
    assert [gain["difference"], gain["low"], gain["high"]] == pytest.approx([-2, -2 - half, -2 + half])
    after = fidelity_table(table).set_index("method").loc["crowdllm"]
    assert [after["mean"], after["low"], after["high"]] == pytest.approx([2, 2 - half, 2 + half])


@pytest.mark.slow
def test_the_command_prints_before_and_after(
    study: Study, panel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_study(study, tmp_path / "study")
    words = [
        "calibrate",
        str(tmp_path / "study"),
        "--answers",
        str(panel),
        "--splits",
        "2",
        "--out",
        str(tmp_path / "out"),
    ]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert not end.value.code
    printed = capsys.readouterr().out
    assert "the panel as it is" in printed
    assert "mae, calibrated against the panel as it is: -" in printed


def test_the_command_refuses_a_file_of_no_answers(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_study(study, tmp_path / "study")
    (tmp_path / "none.csv").write_text("a,b\n1,2\n")
    words = [
        "calibrate",
        str(tmp_path / "study"),
        "--answers",
        str(tmp_path / "none.csv"),
        "--out",
        str(tmp_path / "out"),
    ]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "name them with --problem and --answer" in capsys.readouterr().err
