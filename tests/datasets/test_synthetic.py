"""The synthetic crowd follows the truth that its formula gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from crowdllm.data.study import Study
from crowdllm.datasets import load_dataset
from crowdllm.datasets.synthetic import true_distribution, true_mean
from crowdllm.errors import ConfigError


def shares(study: Study) -> np.ndarray:
    counts = np.zeros((len(study.problems), 5))
    np.add.at(counts, (study.responses.problem_R, study.responses.values_RD[:, 0].astype(int)), 1)
    return counts / counts.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("diversity", "error"), [(1.0, 0.0), (1.0, 1.0), (2.0, 0.0), (0.0, 2.0)])
def test_many_people_answer_as_the_truth_says(diversity: float, error: float) -> None:
    many = 20_000
    study = load_dataset(
        "synthetic",
        participants=many,
        problems=6,
        per_participant=6,
        diversity=diversity,
        error=error,
        seed=3,
    )
    truth = true_distribution(problems=6, diversity=diversity, error=error, seed=3)
    standard_error = np.sqrt(truth * (1 - truth) / many)
    assert (np.abs(shares(study) - truth) < 5 * standard_error + 1e-4).all()
    assert np.abs(shares(study) @ np.arange(1, 6) - true_mean(6, diversity, error, seed=3)).max() < 0.06


def test_truth_is_a_normal_cut_at_the_half_way_points() -> None:
    # the share below one cut gives the location back; then the other shares follow by hand
    truth = true_distribution(problems=40, diversity=1.0, seed=5)
    below_three = truth[:, :2].sum(axis=1)
    location = 2.5 - norm.ppf(below_three)
    expected = np.diff(norm.cdf(np.array([1.5, 2.5, 3.5, 4.5]) - location[:, None]), axis=1)
    np.testing.assert_allclose(truth[:, 1:4], expected, atol=1e-9)
    np.testing.assert_allclose(truth.sum(axis=1), 1.0)
    two = true_distribution(problems=40, diversity=1.2, error=1.6, seed=5)  # 1.2^2 + 1.6^2 = 2^2
    np.testing.assert_allclose(two[:, 0], norm.cdf((1.5 - location) / 2.0), atol=1e-9)


def test_without_diversity_and_error_everybody_gives_the_one_true_answer() -> None:
    study = load_dataset("synthetic", diversity=0.0, error=0.0)
    truth = true_distribution(diversity=0.0)
    assert set(np.unique(truth)) == {0.0, 1.0}
    assert (study.responses.values_RD[:, 0] == truth.argmax(axis=1)[study.responses.problem_R]).all()


def test_the_truth_without_error_stays_when_responses_get_an_error() -> None:
    clean, noisy = true_distribution(error=0.0), true_distribution(error=2.0)
    entropy = [-(p * np.log(np.maximum(p, 1e-12))).sum(axis=1).mean() for p in (clean, noisy)]
    assert entropy[1] > entropy[0] + 0.2


def test_everyone_answers_the_asked_number_of_different_problems() -> None:
    study = load_dataset("synthetic", participants=50, problems=30, per_participant=7)
    r = study.responses
    assert np.bincount(r.participant_R, minlength=50).tolist() == [7] * 50
    assert len(set(zip(r.participant_R, r.problem_R, strict=True))) == 350
    assert study.simulated


def test_people_are_coherent_and_the_leaning_tells_about_them() -> None:
    study = load_dataset("synthetic", participants=4000, problems=8, per_participant=8, diversity=1.0)
    answers = study.responses.values_RD[:, 0].reshape(4000, 8)
    middle = np.abs(true_mean(8) - 3) < 1.2
    between = np.corrcoef(answers[:, middle].T)[np.triu_indices(int(middle.sum()), 1)]
    assert (between > 0.3).all()
    assert (between < 0.55).all()
    leaning, region = study.profiles.values_NC.T
    means = [answers[leaning == level].mean() for level in range(5)]
    assert (np.diff(means) > 0.1).all()
    by_region = [answers[region == level].mean() for level in range(4)]
    assert np.ptp(by_region) < 0.15
    assert np.bincount(leaning.astype(int)).min() > 700  # quintiles of 4000


def test_same_seed_same_study_and_another_seed_another() -> None:
    first, again, other = (load_dataset("synthetic", seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.responses.values_RD, again.responses.values_RD)
    assert first.problems.texts.tolist() == again.problems.texts.tolist()
    assert (first.responses.values_RD != other.responses.values_RD).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"participants": 0}, "at least one person"),
        ({"problems": 5, "per_participant": 6}, "between 1 and the 5 problems"),
        ({"diversity": -1.0}, "diversity"),
        ({"error": float("nan")}, "error"),
    ],
)
def test_settings_out_of_range_are_named(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_dataset("synthetic", **options)
