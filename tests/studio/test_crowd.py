"""What the studio counts is what `simulate` draws: the same people, the same responses, for every response type."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import crowdllm
from crowdllm.errors import ConfigError, CrowdLLMError
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking
from crowdllm.simulation.grid import decide_grid, values_of
from crowdllm.simulation.groups import everybody
from crowdllm.studio.crowd import Answer, Crowd, Who, ask_crowd, count_answers, recruit_crowd
from crowdllm.studio.workspace import Workspace

OPTIONS = ("amber", "birch", "cobalt")


@pytest.fixture
def counted(make_terms: Callable) -> Callable[[ResponseType], tuple[Answer, np.ndarray]]:
    """What is counted of the first problem, and the responses themselves."""

    def make(kind: ResponseType) -> tuple[Answer, np.ndarray]:
        terms, people = make_terms(kind, people=300)
        one = terms.take(slice(0, 1))
        crowd = Crowd(None, people, everybody(), np.ones((1, 300), dtype=bool), 3)  # type: ignore[arg-type]
        values = values_of(one, decide_grid(one, people, 3)[:, 0])
        return count_answers(kind, one, OPTIONS, crowd), values

    return make


def test_levels_are_shares_of_people_with_their_binomial_error(counted: Callable) -> None:
    answer, values = counted(Ordinal(("1", "2", "5")))
    share = np.array([(values[:, 0] == m).mean() for m in range(3)])
    np.testing.assert_allclose(answer.value_GM[0], 100 * share)
    np.testing.assert_allclose(answer.error_M, 100 * np.sqrt(share * (1 - share) / 300))
    points = np.array([1.0, 2.0, 5.0])[values[:, 0].astype(int)]
    assert answer.mean_G[0] == pytest.approx(points.mean())
    assert answer.mean_error == pytest.approx(points.std() / np.sqrt(300))


def test_choices_have_the_problem_s_own_options(counted: Callable) -> None:
    answer, values = counted(Choice(5))
    assert answer.labels == OPTIONS
    np.testing.assert_allclose(answer.value_GM[0], [100 * (values[:, 0] == m).mean() for m in range(3)])
    assert answer.value_GM[0].sum() == pytest.approx(100)
    assert np.isnan(answer.mean_G[0])


def test_a_ballot_s_bars_are_the_people_who_pick_an_option(counted: Callable) -> None:
    answer, values = counted(Ballot(2, 2, 5))
    np.testing.assert_allclose(answer.value_GM[0], 100 * values[:, :3].mean(axis=0))
    assert answer.value_GM[0].sum() == pytest.approx(200)


def test_points_are_averages_with_their_standard_error(counted: Callable) -> None:
    answer, values = counted(Points(10, 1, 5))
    np.testing.assert_allclose(answer.value_GM[0], values[:, :3].mean(axis=0))
    np.testing.assert_allclose(answer.error_M, values[:, :3].std(axis=0) / np.sqrt(300))
    assert answer.value_GM[0].sum() == pytest.approx(10)


def test_ranks_give_the_most_points_to_the_first(counted: Callable) -> None:
    answer, values = counted(Ranking(0, 5))
    np.testing.assert_allclose(answer.value_GM[0], (4 - values[:, :3]).mean(axis=0))
    assert answer.value_GM[0].sum() == pytest.approx(3 + 2 + 1)


def test_numbers_fall_into_ranges_that_hold_everybody(counted: Callable) -> None:
    answer, values = counted(Continuous(0.0, 10.0, 5.0, 2.0))
    assert answer.value_GM[0].sum() == pytest.approx(100)
    assert answer.mean_G[0] == pytest.approx(values.mean())
    assert answer.quantile_5[2] == pytest.approx(np.median(values), abs=0.1)
    assert len(answer.labels) == 20
    assert answer.labels[0] == "0 to 0.5"


def test_the_studio_s_crowd_is_the_one_that_simulate_makes(model_folder: str) -> None:
    model = crowdllm.load_model(model_folder)
    answer = ask_crowd(model, model.items, recruit_crowd(model, 400, seed=5), position=2)
    simulated = crowdllm.simulate(model, 400, seed=5).responses
    levels = simulated.values_RD[simulated.problem_R == 2, 0].astype(int)
    np.testing.assert_allclose(answer.value_GM[0], 100 * np.bincount(levels, minlength=5) / 400)


def test_subgroups_split_everybody(model_folder: str) -> None:
    model = crowdllm.load_model(model_folder)
    answer = ask_crowd(model, model.items, recruit_crowd(model, 500))
    for column in ("district", "education"):
        rows = [g for g, (name, _) in enumerate(answer.groups) if name == column]
        assert answer.people_G[rows].sum() == 500
        known = [g for g in rows if answer.people_G[g]]
        together = answer.people_G[known] @ answer.value_GM[known] / 500
        np.testing.assert_allclose(together, answer.value_GM[0])


def test_a_filter_and_margins_decide_who_is_recruited(model_folder: str) -> None:
    model = crowdllm.load_model(model_folder)
    who = Who("x", {"district": ["centre", "suburb"]}, {"district": {"centre": 0.8, "suburb": 0.2}})
    frame = recruit_crowd(model, 4000, who=who).people.to_frame()
    shares = frame["district"].value_counts(normalize=True)
    assert set(shares.index) == {"centre", "suburb"}
    assert shares["centre"] == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / 4000))


def test_a_damaged_model_does_not_stop_the_studio_from_starting(model_folder: Path, tmp_path: Path) -> None:
    work = Workspace(tmp_path / "studio")
    work.warm()  # nothing there
    entry = work.open(str(shutil.copytree(model_folder, tmp_path / "model")))
    (tmp_path / "model" / "tensors.safetensors").write_bytes(b"")
    work.warm()
    with pytest.raises(CrowdLLMError, match="damaged"):
        work.crowd(entry.id)


@pytest.mark.parametrize("people", [0, -1, 10**7])
def test_a_number_of_people_out_of_range_is_refused(model_folder: str, people: int) -> None:
    with pytest.raises(ConfigError, match="people can be asked"):
        recruit_crowd(crowdllm.load_model(model_folder), people)
