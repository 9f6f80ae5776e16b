"""One decision path: legal responses that depend on the model, the seed, the person and the problem alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.config import CrowdConfig
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.errors import ConfigError
from crowdllm.simulation.decide import decide_blocks, simulate_pairs

Array = NDArray[np.float64]
KINDS = ["continuous", "bounded", "ordinal", "choice", "ballot", "approval", "points", "ranking"]
PEOPLE, PROBLEMS = 40, 9
Known = Callable[..., Any]
Config = Callable[..., CrowdConfig]


@pytest.fixture(scope="module")
def fitted(make_known: Known, fast_config: Config) -> Callable[[str], tuple[CrowdModel, Any]]:
    """A function: response type to (model, the known study it was fitted on), each fitted once."""
    done: dict[str, tuple[CrowdModel, Any]] = {}

    def get(kind: str) -> tuple[CrowdModel, Any]:
        if kind not in done:
            known = make_known(kind, people=25, problems=PROBLEMS, strength=1.5)
            done[kind] = fit_crowd(known.study, known.references, fast_config(max_epochs=3), 0), known
        return done[kind]

    return get


def all_pairs(people: int, problems: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.repeat(np.arange(people), problems), np.tile(np.arange(problems), people)


def everything(model: CrowdModel, crowd: Profiles, block: int = 1 << 16) -> Array:
    """(N, T, D) responses of the crowd to all training problems."""
    i, t = all_pairs(len(crowd), PROBLEMS)
    return simulate_pairs(model, model.items, crowd, i, t, 3, block=block).reshape(len(crowd), PROBLEMS, -1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_response_is_legal(kind: str, fitted: Known) -> None:
    model, _ = fitted(kind)
    values = everything(model, model.recruit(200, 0))
    counts = np.tile(model.items.option_counts, 200)
    flat = values.reshape(200 * PROBLEMS, -1)
    assert model.response_type.legal(flat, counts).all()
    assert len(np.unique(flat, axis=0)) > 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(kind: str, fitted: Known) -> None:
    model, _ = fitted(kind)
    crowd = model.recruit(PEOPLE, 0)
    i, t = all_pairs(PEOPLE, PROBLEMS)
    first, again, other = (simulate_pairs(model, model.items, crowd, i, t, seed).tobytes() for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_the_block_size_changes_nothing(kind: str, block: int, fitted: Known) -> None:
    model, _ = fitted(kind)
    crowd = model.recruit(PEOPLE, 0)
    assert everything(model, crowd, block).tobytes() == everything(model, crowd).tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("people", [[4], [30, 0, 7], list(range(39))], ids=["one", "three", "all but one"])
def test_who_else_is_simulated_changes_nothing(kind: str, people: list[int], fitted: Known) -> None:
    model, _ = fitted(kind)
    crowd = model.recruit(PEOPLE, 0)
    some = crowd.take(np.array(people))
    assert everything(model, some).tobytes() == everything(model, crowd)[people].tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("problems", [[4], [7, 0], [8, 1, 2, 3, 5]], ids=["one", "two", "five"])
def test_which_other_problems_there_are_changes_nothing(kind: str, problems: list[int], fitted: Known) -> None:
    model, known = fitted(kind)
    crowd = model.recruit(PEOPLE, 0)
    items = model.make_items(known.study.problems.take(np.array(problems)), known.references)
    i, t = all_pairs(PEOPLE, len(problems))
    some = simulate_pairs(model, items, crowd, i, t, 3).reshape(PEOPLE, len(problems), -1)
    assert some.tobytes() == np.ascontiguousarray(everything(model, crowd)[:, problems]).tobytes()


@pytest.mark.parametrize("kind", ["choice", "approval", "points", "ranking"])
def test_inserting_a_problem_with_more_options_changes_nothing(kind: str, fitted: Known) -> None:
    model, known = fitted(kind)
    problems, crowd = known.study.problems, model.recruit(PEOPLE, 0)
    new = Problems(
        np.array(["q00", "inserted", *problems.ids[1:]], dtype=object),
        np.array([problems.texts[0], "A new one", *problems.texts[1:]], dtype=object),
        (problems.options[0], tuple(f"option {m}" for m in range(8)), *problems.options[1:]),
    )
    items = model.make_items(new, known.references)
    i, t = all_pairs(PEOPLE, PROBLEMS + 1)
    values = simulate_pairs(model, items, crowd, i, t, 3).reshape(PEOPLE, PROBLEMS + 1, -1)
    before = everything(model, crowd)
    width = before.shape[2]
    np.testing.assert_array_equal(np.delete(values, 1, axis=1)[:, :, :width], before)
    inserted = values[:, 1]
    assert model.response_type.legal(inserted, np.full(PEOPLE, 8)).all()


def test_single_pairs_in_any_order_are_those_of_the_whole(fitted: Known) -> None:
    model, _ = fitted("continuous")
    crowd = model.recruit(PEOPLE, 0)
    whole = everything(model, crowd)
    order = np.random.default_rng(0).permutation(PEOPLE * PROBLEMS)[:50]
    i, t = order // PROBLEMS, order % PROBLEMS
    np.testing.assert_array_equal(simulate_pairs(model, model.items, crowd, i, t, 3), whole[i, t])


def test_the_number_of_threads_changes_nothing(fitted: Known) -> None:
    model, _ = fitted("continuous")
    crowd = model.recruit(PEOPLE, 0)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(everything(model, crowd).tobytes())
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1]


def test_no_pairs_give_no_responses_of_the_right_width(fitted: Known) -> None:
    model, _ = fitted("ballot")
    none = np.zeros(0, dtype=np.int64)
    assert simulate_pairs(model, model.items, model.recruit(3, 0), none, none, 0).shape == (0, 5)


def test_a_block_size_of_zero_is_refused(fitted: Known) -> None:
    model, _ = fitted("ordinal")
    i, t = all_pairs(2, 1)
    with pytest.raises(ConfigError, match="block size must be at least 1, not 0"):
        list(decide_blocks(model, model.items, model.recruit(2, 0), i, t, 0, block=0))


# --- the distribution of the whole crowd ------------------------------------------------------------------


def crowd_shares(model: CrowdModel, people: int, seed: int = 1) -> Array:
    i, t = all_pairs(people, PROBLEMS)
    values = simulate_pairs(model, model.items, model.recruit(people, seed), i, t, seed)
    return np.stack([model.response_type.summarise(values[t == problem]) for problem in range(PROBLEMS)])


def population_shares(model: CrowdModel) -> Array:
    """(T, M) level shares of the population model alone: softmax of its raw parameters."""
    raw = torch.from_numpy(model.population.item_raw(model.items))
    return torch.softmax(raw, dim=-1).numpy()


def test_a_big_crowd_has_the_populations_shares_although_people_differ(make_known: Known, fast_config: Config) -> None:
    """Profile-free: the shift is exactly normal, so only sampling error is left (20,000 people: below .0036)."""
    known = make_known("ordinal", people=150, problems=PROBLEMS, strength=2.0)
    ids = known.study.profiles.ids
    study = replace(known.study, profiles=Profiles((), ids, np.zeros((len(ids), 0))))
    model = fit_crowd(study, None, fast_config(max_epochs=20, item_loading_penalty=1.0), 0)
    assert np.median(np.abs(model.item_terms(model.items)[0]).max(axis=1)) > 0.5  # people do differ
    error = np.abs(crowd_shares(model, 20_000) - population_shares(model))
    assert error.max() < 4.5 * np.sqrt(0.25 / 20_000)


def test_with_profiles_a_big_crowd_has_nearly_the_populations_shares(make_known: Known, fast_config: Config) -> None:
    known = make_known("ordinal", people=150, problems=PROBLEMS, strength=2.0)
    model = fit_crowd(known.study, None, fast_config(max_epochs=20), 0)
    assert np.abs(crowd_shares(model, 20_000) - population_shares(model)).max() < 0.03


@pytest.mark.parametrize(("kind", "people"), [("choice", 200), ("ballot", 60), ("approval", 60), ("points", 200)])
def test_a_big_crowd_picks_options_as_often_as_the_training_people(
    kind: str, people: int, make_known: Known, fast_config: Config
) -> None:
    known = make_known(kind, people=people, problems=PROBLEMS)
    config = fast_config(max_epochs=20, effect_variances=(3.0,), min_problems_to_hold_out=100)  # to the end
    model = fit_crowd(known.study, None, config, 0)
    responses = known.study.responses
    trained = np.stack(
        [known.study.response_type.summarise(responses.values_RD[responses.problem_R == t]) for t in range(PROBLEMS)]
    )
    distance = 0.5 * np.abs(crowd_shares(model, 3000) - trained).sum(axis=1)
    assert distance.mean() < 0.04


def test_simulated_people_answer_as_coherently_as_real_ones(make_known: Known, fast_config: Config) -> None:
    """Inter-problem correlations of 3,000 simulated people against those of 300 real ones (standard error .06)."""
    known = make_known("ordinal", people=300, problems=PROBLEMS, strength=1.5)
    model = fit_crowd(known.study, None, fast_config(max_epochs=40, item_loading_penalty=1.0), 0)
    i, t = all_pairs(3000, PROBLEMS)
    crowd = simulate_pairs(model, model.items, model.recruit(3000, 0), i, t, 0)[:, 0].reshape(3000, PROBLEMS)
    above = np.triu_indices(PROBLEMS, 1)
    real = np.corrcoef(known.study.responses.values_RD[:, 0].reshape(300, PROBLEMS).T)[above]
    simulated = np.corrcoef(crowd.T)[above]
    assert np.sqrt(np.mean((simulated - real) ** 2)) < 0.1
    assert np.sqrt(np.mean(real**2)) > 0.4


def test_known_noise_makes_a_person_answer_accordingly(fitted: Known) -> None:
    """A digital twin: the noise of a person moves all of that person's responses along the loadings."""
    model, _ = fitted("continuous")
    crowd = model.recruit(2, 0).take(np.array([0]))
    i, t = all_pairs(1, PROBLEMS)
    base = simulate_pairs(model, model.items, crowd, i, t, 0, noise_NZ=np.zeros((1, 2)))
    moved = simulate_pairs(model, model.items, crowd, i, t, 0, noise_NZ=np.array([[2.0, 0.0]]))
    loadings, params, spread = model.item_terms(model.items)
    np.testing.assert_allclose((moved - base)[:, 0], 2 * loadings[:, 0] * np.exp(params[:, 1]) / spread, atol=1e-9)
