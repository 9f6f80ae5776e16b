"""A study becomes a `datasets.Dataset` and comes back the same, whatever its scale; others are read as tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.data.study_folder import save_study
from crowdllm.errors import CrowdLLMError
from crowdllm.integrations.hf_dataset import study_from_dataset, study_to_dataset
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import ResponseType
from crowdllm.responses.ranking import Ranking

datasets = pytest.importorskip("datasets")

TYPES: dict[str, tuple[ResponseType, np.ndarray]] = {
    "ordinal": (Ordinal(("1", "2", "3"), ends=("low", "high")), np.array([[0.0], [2], [1], [1]])),
    "words": (Ordinal(("never", "1e5", "always")), np.array([[0.0], [2], [1], [1]])),
    "continuous": (Continuous(-1.5, 1e6), np.array([[0.1], [1 / 3], [-1.5], [1e6]])),
    "choice": (Choice(3), np.array([[0.0], [2], [1], [1]])),
    "ballot": (Ballot(0, 2, 3), np.array([[1.0, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 0]])),
    "points": (Points(10, 1, 3), np.array([[10.0, 0, 0], [5, 5, 0], [1, 2, 7], [0, 10, 0]])),
    "ranking": (Ranking(0, 3), np.array([[3.0, 2, 1], [1, 2, 3], [2, 3, 1], [3, 1, 2]])),
}


def study_of(kind: str, simulated: bool = False) -> Study:
    """Four people and three problems; the second problem has no answer, the first person gives none; names collide."""
    scale, values = TYPES[kind]
    options = (("a", "b|c", ' "d"'),) * 3 if scale.has_options else ((),) * 3
    columns = (
        ProfileColumn("age", "numeric"),
        ProfileColumn("text", "categorical", ("x", "y")),
        ProfileColumn("grade", "ordinal", ("low", "high"), "school grade"),
    )
    profile = np.array([[1.5, 0, 1], [np.nan, 1, np.nan], [33, np.nan, 0], [1e-7, 0, 0]])
    people = Profiles(columns, np.array(["z", "007", "p,3", "ü"], dtype=object), profile)
    problems = Problems(
        np.array(["q3", "q1", "q2"], dtype=object), np.array(["Drei?\nJa.", "One?", "=2+2"], dtype=object), options
    )
    responses = Responses(np.array([3, 1, 2, 1]), np.array([2, 2, 0, 0]), values)
    weights = np.array([0.5, 1, 2, 1 / 3])
    return Study(
        "Title", scale, problems, people, responses, "Context", "Required", ("a source",), simulated, weights_N=weights
    )


def require_same(one: Study, other: Study) -> None:
    assert (one.title, one.context, one.requirements, one.source, one.simulated) == (
        other.title, other.context, other.requirements, other.source, other.simulated,
    )  # fmt: skip
    assert one.response_type == other.response_type
    assert one.problems.ids.tolist() == other.problems.ids.tolist()
    assert one.problems.texts.tolist() == other.problems.texts.tolist()
    assert one.problems.options == other.problems.options
    assert one.profiles.columns == other.profiles.columns
    assert one.profiles.ids.tolist() == other.profiles.ids.tolist()
    np.testing.assert_array_equal(one.profiles.values_NC, other.profiles.values_NC)
    np.testing.assert_array_equal(one.weights_N, other.weights_N)
    np.testing.assert_array_equal(one.responses.participant_R, other.responses.participant_R)
    np.testing.assert_array_equal(one.responses.problem_R, other.responses.problem_R)
    np.testing.assert_array_equal(one.responses.values_RD, other.responses.values_RD)


@pytest.mark.parametrize("kind", TYPES)
def test_a_study_comes_back_the_same(kind: str, tmp_path: Path) -> None:
    study = study_of(kind)
    dataset = study_to_dataset(study)
    assert isinstance(dataset, datasets.Dataset)
    require_same(study, study_from_dataset(dataset))
    dataset.save_to_disk(tmp_path / "saved")
    require_same(study, study_from_dataset(tmp_path / "saved"))
    require_same(study, study_from_dataset(datasets.load_from_disk(tmp_path / "saved")))


def test_rows_say_what_was_answered_by_whom() -> None:
    rows = study_to_dataset(study_of("words", simulated=True))
    first = rows[0]
    assert first["participant"] == "ü"
    assert first["response"] == "never"
    assert first["value"] == 1.0  # levels in words count 1, 2, 3
    assert first["simulated"] is True
    assert first["grade"] == "low"
    assert rows[2]["text"] is None  # a profile column of that name; missing stays missing
    assert rows[2]["text_"] == "Drei?\nJa."  # the problem's text, called as in the study's files
    ballot = study_to_dataset(study_of("ballot"))
    assert ballot[0]["value"] == [1, 0, 1]
    assert ballot[0]["option_texts"] == ["a", "b|c", ' "d"']


def test_a_crowd_stays_marked_as_simulated() -> None:
    assert study_from_dataset(study_to_dataset(study_of("ordinal", simulated=True))).simulated


def test_rows_of_a_crowd_in_a_folder_name_model_and_seed(tmp_path: Path) -> None:
    save_study(study_of("ordinal", simulated=True), tmp_path / "crowd")
    about = {"simulated": True, "complete": True, "model_hash": "c0ffee" * 10, "seed": 7}
    (tmp_path / "crowd" / "meta.json").write_text(json.dumps(about))
    rows = study_to_dataset(tmp_path / "crowd")
    assert set(rows["model"]) == {("c0ffee" * 10)[:16]}
    assert set(rows["seed"]) == {7}
    assert all(rows["simulated"])
    assert study_from_dataset(rows).simulated


def test_filtered_rows_are_the_study_of_these_rows() -> None:
    study = study_of("ordinal")
    kept = study_to_dataset(study).filter(lambda row: row["problem"] == "q2")
    back = study_from_dataset(kept)
    assert len(back.responses) == 2
    assert set(back.problems.ids[back.responses.problem_R]) == {"q2"}


def test_rows_that_contradict_each_other_are_refused() -> None:
    def older(row: dict[str, Any], index: int) -> dict[str, Any]:
        return row | {"age": float(index)}

    with pytest.raises(CrowdLLMError, match="'age' of '007' is not what an earlier row says"):
        study_from_dataset(study_to_dataset(study_of("ordinal")).map(older, with_indices=True))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(CrowdLLMError, match="no column 'response'"):
        study_from_dataset(study_to_dataset(study_of("ordinal")).remove_columns("response"))


def foreign() -> Any:
    """Ratings by class label, as data sets on the Hub have them."""
    labels = datasets.ClassLabel(names=["negative", "neutral", "positive"])
    features = datasets.Features(
        {"item_id": datasets.Value("string"), "annotator_id": datasets.Value("int64"), "label": labels}
    )
    rows = {"item_id": [f"i{n // 3}" for n in range(12)], "annotator_id": [n % 3 for n in range(12)]}
    return datasets.Dataset.from_dict(rows | {"label": [n % 3 for n in range(12)]}, features=features)


def test_another_data_set_is_read_by_its_columns_and_label_names() -> None:
    study = study_from_dataset(foreign())
    assert len(study.responses) == 12
    levels = getattr(study.response_type, "levels", ()) or study.problems.options[0]
    assert set(levels) == {"negative", "neutral", "positive"}


def test_splits_are_read_together() -> None:
    both = datasets.DatasetDict(train=foreign().select(range(9)), test=foreign().select(range(9, 12)))
    study = study_from_dataset(both)
    assert len(study.responses) == 12
    assert study.problems.attributes["split"].tolist() == ["train"] * 3 + ["test"]
