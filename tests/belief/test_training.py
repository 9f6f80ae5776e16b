"""Training the personal part: it helps where people differ, does no harm where not, and finds who answers alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from crowdllm.belief import training
from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.belief.personal import PersonalModel, shift_and_spread
from crowdllm.belief.threads import one_thread
from crowdllm.belief.training import _Run, largest_within_error
from crowdllm.config import CrowdConfig
from crowdllm.data.profiles import Profiles
from crowdllm.data.study import Study
from crowdllm.simulation.predict import log_scores

Array = NDArray[np.float64]
Config = Callable[..., CrowdConfig]
Known = Callable[..., Any]


def without_profiles(study: Study) -> Study:
    ids = study.profiles.ids
    return replace(study, profiles=Profiles((), ids, np.zeros((len(ids), 0))))


def score_of_new_people(model: CrowdModel, study: Study) -> float:
    """Mean log score of everybody's answers given profiles alone."""
    return float(log_scores(model, model.items, study.profiles, study.responses, 0).mean())


def parameters(model: CrowdModel) -> Array:
    return np.concatenate([p.detach().numpy().ravel() for p in model.personal.parameters()])


@pytest.mark.parametrize("kind", ["ordinal", "continuous", "choice"])
def test_where_people_differ_training_lowers_the_held_out_loss(
    kind: str, make_known: Known, fast_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SEARCHES", 1)
    study = make_known(kind, people=80, problems=10, strength=2.0).study
    config = fast_config(max_epochs=12)
    model = fit_crowd(study, None, config, 0)
    search = [h.held_out_loss for h in model.history if h.stage == "search"]
    alone = fit_crowd(study, None, config.model_copy(update={"belief_width": 0}), 0)
    held_out_alone = -score_of_new_people(alone, study)  # without people's differences every answer is predicted so
    assert min(search) < held_out_alone - 0.05
    assert sum(h.stage == "fit" for h in model.history) == 1 + int(np.argmin(search))


def test_where_little_is_held_out_the_epochs_are_the_median_of_several_searches(
    make_known: Known, fast_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five searches that each hold out other responses; a single one may stop at once by chance."""
    held: list[frozenset[int]] = []
    answers = iter([2, 9, 4, 7, 5])

    def search(self: Any, kept: Any, held_R: NDArray[np.int64], *_: Any) -> int:
        held.append(frozenset(held_R.tolist()))
        return next(answers)

    monkeypatch.setattr(_Run, "search", search)
    study = make_known("ordinal", people=40, problems=8, strength=2.0).study
    model = fit_crowd(study, None, fast_config(max_epochs=12), 0)
    assert sum(h.stage == "fit" for h in model.history) == 5
    assert len(set(held)) == 5


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_where_people_do_not_differ_training_does_no_harm(seed: int, make_known: Known, fast_config: Config) -> None:
    known = make_known("ordinal", people=50, problems=10, strength=0.0, seed=seed)
    split = known.study.split("participant", 0.4, seed)
    config = fast_config(max_epochs=12)
    with_people = fit_crowd(split.train, None, config, 0)
    alone = fit_crowd(split.train, None, config.model_copy(update={"belief_width": 0}), 0)
    assert score_of_new_people(with_people, split.test) > score_of_new_people(alone, split.test) - 0.015


def test_no_epochs_mean_no_differences_between_people(make_known: Known, fast_config: Config) -> None:
    study = make_known("ordinal", people=30, problems=6).study
    model = fit_crowd(study, None, fast_config(max_epochs=0), 0)
    assert not parameters(model).any()
    loadings, _, spread = model.item_terms(model.items)
    assert not loadings.any()
    np.testing.assert_array_equal(spread, 1.0)


def test_when_the_population_alone_predicts_best_nothing_personal_is_kept(
    make_known: Known, fast_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crowdllm.belief import training

    monkeypatch.setattr(training._Run, "population_loss", lambda self, held: -1e9)
    model = fit_crowd(make_known("ordinal", people=30, problems=6).study, None, fast_config(max_epochs=3), 0)
    assert not parameters(model).any()
    assert [h.stage for h in model.history] == ["search"] * 3


def test_the_loss_of_the_population_alone_is_that_of_a_model_without_people(
    make_known: Known, fast_config: Config
) -> None:
    from crowdllm.belief.batches import Batch
    from crowdllm.belief.training import _Run

    study = make_known("choice", people=30, problems=6).study
    model = fit_crowd(study, None, fast_config(belief_width=0), 0)
    v_NV = torch.zeros(30, 0).double()
    population, kind = model.population, model.response_type
    run = _Run(model.items, study.responses, v_NV, kind, population, fast_config(), 0, 1.0, None, None)
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    loss = run.population_loss(Batch.of(study.responses, model.items, np.arange(30)))
    assert loss == pytest.approx(-score_of_new_people(model, study), abs=1e-9)
    assert all(torch.equal(before[k], v) for k, v in run.model.state_dict().items())


def test_the_fit_is_the_same_for_the_same_seed_and_differs_for_another(make_known: Known, fast_config: Config) -> None:
    study = make_known("ordinal", people=40, problems=8, strength=2.0).study
    first, again, other = (parameters(fit_crowd(study, None, fast_config(), seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6


def test_the_loadings_recover_the_correlation_of_problems(make_known: Known, fast_config: Config) -> None:
    """One attitude of weight +-s: answers to two problems correlate by +-s^2 / (1 + s^2) beneath the thresholds."""
    strength = 1.5
    known = make_known("ordinal", people=400, problems=8, strength=strength)
    config = fast_config(max_epochs=40, item_loading_penalty=1.0, min_problems_to_hold_out=100)
    model = fit_crowd(without_profiles(known.study), None, config, 0)
    loadings, _, _ = model.item_terms(model.items)
    shared = loadings @ model.covariance_ZZ @ loadings.T
    spread = np.sqrt(1 + np.diag(shared))
    estimated = (shared / spread / spread[:, None])[np.triu_indices(8, 1)]
    level_NT = known.study.responses.values_RD[:, 0].reshape(400, 8)
    sign = np.sign(np.corrcoef(level_NT.T))[np.triu_indices(8, 1)]
    truth = sign * strength**2 / (1 + strength**2)
    assert np.sqrt(np.mean((estimated - truth) ** 2)) < 0.1


def test_profile_effects_are_found(make_known: Known, fast_config: Config) -> None:
    """`leaning` tells the attitude: the predicted answer of "high" people moves the way theirs does."""
    known = make_known("ordinal", people=300, problems=6, strength=2.0, missing=0.0)
    study = known.study
    model = fit_crowd(study, None, fast_config(max_epochs=25, item_loading_penalty=1.0), 0)
    leaning_N = study.profiles.values_NC[:, 1]
    level_NT = study.responses.values_RD[:, 0].reshape(300, 6)
    observed_T = level_NT[leaning_N == 2].mean(0) - level_NT[leaning_N == 0].mean(0)
    attitude = model.attitudes(study.profiles, np.zeros((300, 2)))
    shift_NT = attitude @ model.item_terms(model.items)[0].T
    predicted_T = shift_NT[leaning_N == 2].mean(0) - shift_NT[leaning_N == 0].mean(0)
    assert np.abs(observed_T).min() > 0.8
    np.testing.assert_array_equal(np.sign(predicted_T), np.sign(observed_T))
    assert np.abs(predicted_T).min() > 0.3


def test_progress_counts_epochs_and_training_runs_on_one_thread(make_known: Known, fast_config: Config) -> None:
    seen: list[tuple[str, int, int, int]] = []

    def progress(what: str, done: int, total: int) -> None:
        seen.append((what, done, total, torch.get_num_threads()))

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fit_crowd(make_known("ordinal", people=30, problems=6).study, None, fast_config(max_epochs=3), 0, progress)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert {threads for *_, threads in seen} == {1}
    assert all(done <= total for _, done, total, _ in seen)


def test_the_number_of_threads_is_restored_after_an_error() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="inside"), one_thread():
            raise RuntimeError("inside")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# --- the parts of delta ------------------------------------------------------------------------------------


def personal(**parts: Array) -> PersonalModel:
    model = PersonalModel(2, 1, 1, False, CrowdConfig(belief_width=2))
    with torch.no_grad():
        for name, value in parts.items():
            getattr(model, name).copy_(torch.from_numpy(np.asarray(value, dtype=float)))
    return model


def test_delta_and_spread_of_a_case_done_by_hand() -> None:
    """beta = (1, 2) for item 0 and (1, 2) + 3 (0.5, 0) + (0, 1) = (2.5, 3) for item 1; c = 2 (1, -1) + eps."""
    model = personal(common_Z=[1, 2], from_features_FZ=[[0.5, 0]], own_IZ=[[0, 0], [0, 1]], profile_VZ=[[1, -1]])
    features, own_row = torch.tensor([[0.0], [3.0]]).double(), torch.tensor([0, 1])
    loadings = model.loadings(features, own_row)
    np.testing.assert_allclose(loadings.detach().numpy(), [[1, 2], [2.5, 3]])
    attitude = model.profile_part(torch.tensor([[2.0]]).double()) + torch.tensor([[0.5, 0.25]]).double()
    covariance = torch.tensor([[2.0, 0.5], [0.5, 1.0]]).double()
    shift, spread = shift_and_spread(loadings, covariance, torch.tensor([[1]]), attitude)
    # c = (2.5, -1.75): delta = 2.5 * 2.5 - 3 * 1.75 = 1; variance = 2 * 6.25 + 2 * .5 * 7.5 + 9 = 29
    assert shift.item() == pytest.approx(1.0)
    assert spread.item() == pytest.approx(np.sqrt(30))


def test_a_new_item_has_no_loading_of_its_own() -> None:
    model = personal(common_Z=[1, 2], own_IZ=[[5, 5], [7, 7]])
    loadings = model.loadings(torch.zeros(2, 1).double(), torch.tensor([-1, 1]))
    np.testing.assert_allclose(loadings.detach().numpy(), [[1, 2], [8, 9]])


def test_the_covariance_is_the_identity_plus_that_of_the_profile_part() -> None:
    model = personal(profile_VZ=[[1, 3]])
    covariance = model.covariance(torch.tensor([[-1.0], [1.0], [-1.0], [1.0]]).double())
    np.testing.assert_allclose(covariance.detach().numpy(), [[2, 3], [3, 10]])


def test_an_option_that_a_problem_does_not_have_is_not_shifted() -> None:
    loadings = torch.tensor([[1.0, 1.0]]).double()
    shift, _ = shift_and_spread(loadings, torch.eye(2).double(), torch.tensor([[0, -1]]), torch.ones(1, 2).double())
    np.testing.assert_allclose(shift.numpy(), [[2, 0]])


# --- more responses than are seen at once ------------------------------------------------------------------


@pytest.fixture
def in_groups(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many responses on a scale are seen at once, in these tests."""
    from crowdllm.belief import batches

    monkeypatch.setattr(batches, "MANY", 500)
    return 500


def test_groups_of_people_teach_what_everybody_at_once_does(
    make_known: Known, fast_config: Config, in_groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """240 people with ten answers each: what is learned predicts new people far better than no differences would."""
    from crowdllm.belief import batches

    split = make_known("ordinal", people=300, problems=10, strength=2.0).study.split("participant", 0.2, 0)
    config = fast_config(max_epochs=12)
    grouped = fit_crowd(split.train, None, config, 0)
    monkeypatch.setattr(batches, "MANY", 10**9)
    at_once = fit_crowd(split.train, None, config, 0)
    alone = fit_crowd(split.train, None, config.model_copy(update={"belief_width": 0}), 0)
    scores = [score_of_new_people(model, split.test) for model in (grouped, at_once, alone)]
    assert scores[0] > scores[2] + 0.8 * (scores[1] - scores[2])
    assert scores[1] > scores[2] + 0.02


def test_every_epoch_says_what_it_saw_and_a_sweep_takes_in_everybody(
    make_known: Known, fast_config: Config, in_groups: int
) -> None:
    study = make_known("ordinal", people=120, problems=10, strength=2.0).study
    history = fit_crowd(study, None, fast_config(max_epochs=4), 0).history
    assert {h.stage for h in history} == {"search", "fit", "sweep"}
    assert max(h.responses for h in history) <= in_groups + 10
    assert sum(h.responses for h in history if h.stage == "sweep") == len(study.responses)


def test_with_few_responses_every_epoch_sees_all(make_known: Known, fast_config: Config) -> None:
    study = make_known("ordinal", people=40, problems=8, strength=2.0).study
    history = fit_crowd(study, None, fast_config(max_epochs=4), 0).history
    assert {h.responses for h in history if h.stage == "fit"} == {len(study.responses)}
    assert "sweep" not in {h.stage for h in history}


@pytest.mark.parametrize("kind", ["choice", "ballot", "continuous"])
def test_groups_serve_every_type_and_weigh_profiles(
    kind: str, make_known: Known, fast_config: Config, in_groups: int
) -> None:
    study = make_known(kind, people=60, problems=10, strength=2.0).study
    config = fast_config(max_epochs=3, profile_penalties=(8.0, 80.0))
    first, again = (fit_crowd(study, None, config, 1) for _ in range(2))
    np.testing.assert_array_equal(parameters(first), parameters(again))
    assert np.isfinite(parameters(first)).all()


def test_of_very_many_ballots_the_population_is_fitted_on_some_and_says_so(
    make_known: Known, fast_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crowdllm.belief import population
    from crowdllm.belief.counted import burden

    study = make_known("ballot", people=60, problems=6).study
    each = burden(study.response_type, int(study.problems.option_counts.max()))
    monkeypatch.setattr(population, "MANY", 100 * each)
    monkeypatch.setattr(population, "MOST_TO_FIT", 200 * each)
    tuned = fit_crowd(study, None, fast_config(belief_width=0), 0).population.tuned
    assert 90 < tuned["responses_weighed"] <= 100 < 190 < tuned["responses_fitted"] <= 200
    monkeypatch.undo()
    assert "responses_weighed" not in fit_crowd(study, None, fast_config(belief_width=0), 0).population.tuned


def test_the_largest_penalty_within_one_standard_error_is_chosen() -> None:
    """Over four people the second is worse by 1 + 1 - 1 + 1 = 2 (SE 2 x .87 = 1.73), the third by .5 (SE 2 x .96)."""
    losses = np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 3.0, 2.0, 5.0], [2.0, 1.0, 4.0, 3.5]])
    assert largest_within_error(losses[:2]) == 0
    assert largest_within_error(losses[[0, 2]]) == 1
    assert largest_within_error(losses) == 2


def test_profiles_are_believed_where_they_tell_and_not_where_they_are_anybodys(
    make_known: Known, fast_config: Config
) -> None:
    config = fast_config(max_epochs=12, profile_penalties=(8.0, 80.0, 8000.0))
    study = make_known("ordinal", people=150, problems=20, strength=2.0).study
    profiles = study.profiles
    anybodys = profiles.values_NC[np.random.default_rng(0).permutation(len(profiles))]
    shuffled = replace(study, profiles=Profiles(profiles.columns, profiles.ids, anybodys))
    assert fit_crowd(study, None, config, 0).personal.profile_penalty < 8000.0
    assert fit_crowd(shuffled, None, config, 0).personal.profile_penalty == 8000.0
