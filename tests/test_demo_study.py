"""The example study of `crowdllm demo`: what is shipped is what its script makes, and its truth is true."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import crowdllm
from crowdllm.data.study_folder import load_study, read_study
from crowdllm.rng import generator

SCRIPT = Path(__file__).parents[1] / "script" / "make_demo_study.py"
SHIPPED = Path(crowdllm.__file__).parent / "demo_study"
FILES = {"study.toml", "problems.csv", "participants.csv", "responses.csv", "references.csv", "truth.csv"}
SHARES = ["p1", "p2", "p3", "p4", "p5"]
POINTS = np.arange(1, 6)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_demo_study", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(SHIPPED / f"{name}.csv")


def shares(name: str) -> np.ndarray:
    return table(name)[SHARES].to_numpy(dtype=float)


def test_shipped_files_are_what_the_script_makes(script: ModuleType, tmp_path: Path) -> None:
    script.write_study(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    for name in FILES:
        assert (SHIPPED / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_nothing_else_is_shipped_and_all_of_it_is_small() -> None:
    assert {path.name for path in SHIPPED.iterdir()} == FILES
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 200_000


def test_every_table_speaks_of_the_same_40_problems() -> None:
    problems = table("problems")["problem"].tolist()
    assert len(set(problems)) == 40
    assert table("references")["problem"].tolist() == problems
    assert table("truth")["problem"].tolist() == problems
    assert set(table("responses")["problem"]) == set(problems)
    assert table("problems")["text"].is_unique
    assert table("problems")["topic"].nunique() == 9


def test_each_of_300_people_answers_8_to_16_problems_once() -> None:
    responses = table("responses")
    assert not responses.duplicated(["participant", "problem"]).any()
    per_person = responses.groupby("participant").size()
    assert set(per_person.index) == set(table("participants")["participant"])
    assert len(per_person) == 300
    assert per_person.between(8, 16).all()
    assert per_person.mean() == pytest.approx(12, abs=0.5)
    assert set(responses["response"]) == {1, 2, 3, 4, 5}


def test_a_few_profile_values_are_missing_and_the_columns_depend_on_each_other() -> None:
    people = table("participants")
    missing = people.drop(columns="participant").isna().mean()
    assert (missing > 0).all()
    assert (missing < 0.1).all()
    age = people.groupby("household")["age"].mean()
    assert age["shared flat"] < age["family with children"] < age["couple"]
    by_district = people.groupby("district")["age"].mean()
    assert by_district["centre"] < by_district["countryside"]


def test_an_average_person_has_the_problems_own_utility_and_effects_add_up(script: ModuleType) -> None:
    """By hand: "online_only" (technology) has direction 1.2; age -0.20 a decade, centre 0.05, novel 0.7."""
    plain = script.People(
        age_N=np.array([48.0, 58.0, 48.0, 48.0]),
        district_N=np.array([1, 1, 0, 1]),
        household_N=np.array([0, 0, 0, 0]),
        education_N=np.array([1, 1, 1, 1]),
        attitude_NA=np.array([[0.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 2.0]]),
    )
    t = list(script.STATEMENTS).index("online_only")
    mean_NT, spread_T = script.utilities(plain)
    location = -1.0 + script.problem_noise()[0][t]
    assert mean_NT[:, t] - location == pytest.approx([0.0, -0.24, 0.06, 1.4])
    exact = stats.norm.cdf(np.array([-1.4, -0.4, 0.4, 1.4]), loc=location, scale=spread_T[t])
    first = script.People(*(getattr(plain, name)[:1] for name in plain.__dataclass_fields__))
    assert np.cumsum(script.true_shares(first)[t])[:4] == pytest.approx(exact)


def test_truth_is_a_distribution_for_every_problem_and_problems_differ() -> None:
    truth = shares("truth")
    assert (truth > 0).all()
    assert truth.sum(axis=1) == pytest.approx(1, abs=5e-5)
    means = truth @ POINTS
    assert means.min() < 2
    assert means.max() > 4


def test_responses_approach_the_truth_as_the_crowd_grows(script: ModuleType) -> None:
    """Total variation to the truth falls as 1 / sqrt(n), for people and noise drawn with other seeds."""
    truth = shares("truth")
    distances = {}
    for n in (200, 20_000):
        people = script.draw_people(n, generator(1, f"people:{n}"))
        answers_NT = script.draw_responses(people, generator(1, f"responses:{n}"))
        seen = np.stack([(answers_NT == m).mean(axis=0) for m in POINTS], axis=1)
        distances[n] = np.abs(seen - truth).sum(axis=1).mean() / 2
    assert distances[20_000] < 0.01
    assert 5 < distances[200] / distances[20_000] < 20


def test_shipped_responses_fit_the_truth_by_chi_square() -> None:
    """Pearson's statistic has 4 degrees of freedom a problem; no problem stands out, nor does their sum."""
    responses, truth = table("responses"), table("truth").set_index("problem")[SHARES].astype(float)
    counts = responses.groupby(["problem", "response"]).size().unstack(fill_value=0).loc[truth.index].to_numpy()
    expected = truth.to_numpy() * counts.sum(axis=1, keepdims=True)
    chi_T = ((counts - expected) ** 2 / expected).sum(axis=1)
    assert chi_T.max() < stats.chi2.ppf(1 - 1e-3 / len(chi_T), df=4)
    low, high = stats.chi2.ppf([1e-4, 1 - 1e-4], df=4 * len(chi_T))
    assert low < chi_T.sum() < high


def test_chi_square_would_notice_that_the_truth_is_of_other_problems() -> None:
    responses, truth = table("responses"), table("truth").set_index("problem")[SHARES].astype(float)
    counts = responses.groupby(["problem", "response"]).size().unstack(fill_value=0).loc[truth.index].to_numpy()
    expected = np.roll(truth.to_numpy(), 1, axis=0) * counts.sum(axis=1, keepdims=True)
    assert ((counts - expected) ** 2 / expected).sum() > 3 * 4 * len(counts)


def test_references_are_legal_decisions_and_percents() -> None:
    references = table("references")
    assert references.columns.tolist() == ["problem", *(f"k{k}" for k in range(1, 9)), *SHARES]
    assert references[[f"k{k}" for k in range(1, 9)]].isin(POINTS).all(axis=None)
    assert (references[SHARES].sum(axis=1) == 100).all()


def test_references_correlate_with_the_truth_without_being_it() -> None:
    """Better than a guess, and wrong on most problems by more than the 90 answers to each could hide."""
    guess, truth = shares("references") / 100 @ POINTS, shares("truth") @ POINTS
    assert 0.6 < np.corrcoef(guess, truth)[0, 1] < 0.95
    assert np.median(np.abs(guess - truth)) > 0.1
    decisions = table("references")[[f"k{k}" for k in range(1, 9)]].to_numpy(dtype=float).mean(axis=1)
    assert 0.6 < np.corrcoef(decisions, truth)[0, 1] < 0.95


def test_reading_the_study_finds_nothing_but_its_missing_values() -> None:
    findings = read_study(SHIPPED).findings
    assert [f for f in findings if f.severity in ("error", "warning")] == []
    assert {f.column for f in findings} == {"age", "district", "household", "education"}


def test_loaded_study_holds_what_the_files_say_and_says_it_is_simulated() -> None:
    study = load_study(SHIPPED)
    assert study.simulated
    assert "simulated" in study.title
    assert any("no human answered" in line for line in study.source)
    assert study.describe() == f"N=300 T=40 R={len(table('responses'))}"
    assert {column.kind for column in study.profiles.columns} == {"numeric", "categorical", "ordinal"}
    assert study.response_type.to_dict()["ends"] == ["strongly disagree", "strongly agree"]
    loaded = pd.DataFrame(
        {
            "participant": study.profiles.ids[study.responses.participant_R],
            "problem": study.problems.ids[study.responses.problem_R],
            "response": study.responses.values_RD[:, 0].astype(int) + 1,
        }
    )
    order = ["participant", "problem"]
    written = table("responses").sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(loaded.sort_values(order, ignore_index=True), written, check_dtype=False)
    missing = int(np.isnan(study.profiles.values_NC).sum())
    assert missing == int(table("participants").isna().sum().sum()) > 0
