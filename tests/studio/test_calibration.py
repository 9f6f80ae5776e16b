"""How far a crowd is from people: their means and sampling noise by hand, and errors of nothing for a perfect crowd."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crowdllm
from crowdllm.config import CrowdConfig
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.estimation.estimands import make_columns
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType
from crowdllm.studio import calibration
from crowdllm.studio.calibration import measure_reach


def study(kind: ResponseType, values: list[list[float]], options: tuple[tuple[str, ...], ...] = ()) -> Study:
    """One list of responses per problem, by as many people."""
    pairs = [(n, t, value) for t, row in enumerate(values) for n, value in enumerate(row)]
    people = max(map(len, values))
    return Study(
        "s",
        kind,
        Problems(np.array([f"q{t}" for t in range(len(values))], dtype=object), np.array(["x"] * len(values)), options),
        Profiles((), np.array([f"p{n}" for n in range(people)], dtype=object), np.zeros((people, 0))),
        Responses(np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs]), np.array([[p[2]] for p in pairs])),
    )


def test_people_s_means_and_their_noise_are_those_of_a_hand_calculation() -> None:
    """Answers 1, 1, 3 and 2, 2: pooled variance ((4/9 + 4/9 + 16/9) + 0) / (2 + 1) = 8/9, over 3 and over 2 people."""
    made = study(Ordinal(("1", "2", "3")), [[0, 0, 2], [1, 1]])
    columns = make_columns(made.response_type, made.problems, made.responses)
    mean_TC, noise_TC, smooth_TC = calibration._humans(made, columns)
    np.testing.assert_allclose(mean_TC[:, 0], [5 / 3, 2.0])
    np.testing.assert_allclose(noise_TC[:, 0], [8 / 27, 8 / 18])
    np.testing.assert_allclose(mean_TC[0, 1:], [2 / 3, 0, 1 / 3])
    near = 2.5 / 4  # of three people two said 1: (2 + 1/2) / (3 + 1)
    assert smooth_TC[0, 1] == pytest.approx(near * (1 - near) / 3)
    assert noise_TC[0, 1] == pytest.approx(2 / 3 * 1 / 3 / 2)


def test_a_problem_with_one_answer_tells_nothing_of_its_noise() -> None:
    made = study(Choice(2), [[0, 1], [1]], (("a", "b"), ("a", "b")))
    _, noise_TC, smooth_TC = calibration._humans(made, make_columns(made.response_type, made.problems, made.responses))
    assert np.isnan(noise_TC).tolist() == np.isnan(smooth_TC).tolist() == [[False, False], [True, True]]


def test_a_crowd_that_agrees_with_people_everywhere_has_no_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    made = study(Ordinal(("1", "2")), [[0, 1, 1, t % 2] for t in range(20)])
    columns = make_columns(made.response_type, made.problems, made.responses)
    human_TC = calibration._humans(made, columns)[0]
    monkeypatch.setattr(calibration, "cross_fit_problems", lambda *_, **__: human_TC)
    reach = measure_reach(made, None, CrowdConfig())
    assert (reach.problems, reach.level()) == (20, 0.95)
    assert reach.mean is not None
    assert reach.mean.half_width(0.95) == 0.0
    assert [part.half_width(0.95) for part in reach.parts] == [0.0, 0.0]


def test_options_that_a_problem_lacks_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    options = (("a", "b"), ("a", "b", "c"), ("a", "b", "c"), ("a", "b", "c"))
    made = study(Choice(3), [[0, 1], [2, 2], [0, 1], [0, 2]], options)
    monkeypatch.setattr(calibration, "cross_fit_problems", lambda *_, **__: np.full((4, 3), 0.5))
    reach = measure_reach(made, None, CrowdConfig())
    assert reach.mean is None
    assert len(reach.parts) == 1
    assert len(reach.parts[0].error_T) == 2 + 3 + 3 + 3


def test_a_study_that_the_crowd_was_not_fitted_on_is_refused(server: Any, tmp_path: Path) -> None:
    crowdllm.new_study(tmp_path / "other")
    other = server.work.add_study(str(tmp_path / "other"))
    with server.client() as client:
        answer = client.post("/measure", data={"crowd": server.work.crowds()[0].id, "study": other.id})
    assert answer.status_code == 400
    assert "profile column" in answer.text
    assert server.work.store.remove(other)


def test_survey_weights_of_people_count_in_their_means_and_in_how_many_they_are() -> None:
    """Answers 1, 1, 3 with weights 1, 1, 2: mean 2, mean square (1 + 1 + 2) / 4 = 1; 16 / 6 people without weights."""
    made = study(Ordinal(("1", "2", "3")), [[0, 0, 2]])
    weighted = replace(made, weights_N=np.array([1.0, 1.0, 2.0]))
    columns = make_columns(made.response_type, made.problems, made.responses)
    mean_TC, noise_TC, _ = calibration._humans(weighted, columns)
    kish = 16 / 6
    np.testing.assert_allclose(mean_TC[0], [2.0, 0.5, 0, 0.5])
    assert noise_TC[0, 0] == pytest.approx(1.0 * kish / (kish - 1) / kish)
    assert noise_TC[0, 1] == pytest.approx(0.25 / (kish - 1))
