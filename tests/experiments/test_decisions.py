"""Decisions as tables: one row per problem, shares beside, skills where the method has them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.experiments.decisions import decision_table, skill_table
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType


def study_of(kind: ResponseType, rows: list[tuple[int, int, list[float]]], options: tuple = ()) -> Study:
    """Rows are (participant, problem, response); two problems, three participants."""
    return Study(
        "by hand",
        kind,
        Problems(np.array(["a", "b"], dtype=object), np.array(["A?", "B?"], dtype=object), options),
        Profiles((), np.array(["p", "q", "r"], dtype=object), np.zeros((3, 0))),
        Responses(
            np.array([n for n, _, _ in rows]), np.array([t for _, t, _ in rows]), np.array([v for *_, v in rows], float)
        ),
    )


ORDINAL = study_of(Ordinal(("1", "2", "4")), [(0, 0, [0]), (1, 0, [0]), (2, 0, [2])])


def test_the_mean_of_levels_with_their_shares_and_an_unanswered_problem() -> None:
    table = decision_table(ORDINAL, "mean")
    assert table.columns.tolist() == ["problem", "responses", "decision", "share_1", "share_2", "share_4"]
    assert table["responses"].tolist() == [3, 0]
    assert table["decision"][0] == pytest.approx(2)  # (1 + 1 + 4) / 3
    assert table[["share_1", "share_2", "share_4"]].iloc[0].tolist() == pytest.approx([2 / 3, 0, 1 / 3])
    assert table.iloc[1].isna().sum() == 4


def test_the_decision_on_a_choice_is_the_options_text() -> None:
    rows = [(0, 0, [1.0]), (1, 0, [1.0]), (2, 0, [0.0]), (0, 1, [2.0])]
    study = study_of(Choice(3), rows, (("yes", "no"), ("x", "y", "=z()")))
    table = decision_table(study, "majority_vote")
    assert table["decision"].tolist() == ["no", "=z()"]


def test_ballots_have_a_column_for_each_option() -> None:
    study = study_of(Ballot(1, 2, 3), [(0, 0, [1, 1, 0]), (1, 0, [0, 1, 0])], (("k", "l", "m"), ("k", "l", "m")))
    table = decision_table(study, "mean")
    assert table[["decision_1", "decision_2", "decision_3"]].iloc[0].tolist() == [0.5, 1.0, 0.0]


def test_skills_are_given_by_methods_that_estimate_them() -> None:
    assert skill_table(ORDINAL, "mean") is None
    skills = skill_table(ORDINAL, "dawid_skene")
    assert isinstance(skills, pd.DataFrame)
    assert skills["participant"].tolist() == ["p", "q", "r"]


def test_a_method_that_does_not_apply_lists_those_that_do() -> None:
    study = study_of(Choice(2), [(0, 0, [1.0])], (("yes", "no"), ("yes", "no")))
    with pytest.raises(ConfigError, match="choose from majority_vote, dawid_skene, glad"):
        decision_table(study, "mean")
    with pytest.raises(UnknownNameError, match="did you mean 'median'"):
        decision_table(ORDINAL, "medain")
