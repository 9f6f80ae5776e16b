"""Recorded LLM answers: joined by id, encoded as the study's responses, unparsable ones counted."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator

import numpy as np
import pytest

from crowdllm.datasets import DATASETS, load_dataset
from crowdllm.datasets.recorded_answers import RATERS, VOTERS, recorded_draws, recorded_sources
from crowdllm.errors import UnknownNameError

TSV = "llm_predictions/offensive_results_w2.tsv"
PROMPTS = ("base", "male", "female", "white", "black", "asian")


@pytest.fixture
def predictions(published) -> Iterator[list[dict[str, str]]]:
    with published(TSV).open(encoding="utf-8", newline="") as stream:
        yield list(csv.DictReader(stream, delimiter="\t"))


def test_sources_are_listed_per_data_set() -> None:
    names = recorded_sources("offensiveness")
    assert len(names) == 2 * 9 + 1
    assert {"gpt4", "gpt4-personas", "flan-t5-xxl", "tulu2-13b-personas", "elicited"} <= set(names)
    assert recorded_sources("bfi") == recorded_sources("ev_attitudes") == ["elicited"]
    assert recorded_sources("beps") == []
    assert len(recorded_sources("voting")) == 8


def test_unknown_data_set_or_source_lists_the_names() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'voting'"):
        recorded_sources("votin")
    with pytest.raises(UnknownNameError, match="did you mean 'gpt4-personas'"):
        recorded_draws("offensiveness", "gpt4-persona")
    with pytest.raises(UnknownNameError, match=r"\(none\)"):
        recorded_draws("beps", "gpt4")


@pytest.mark.parametrize("name", list(RATERS))
def test_decisions_of_each_llm_are_those_of_its_base_column(predictions, name: str) -> None:
    answers = {row["instance_id"]: row[f"{RATERS[name]}_base"] for row in predictions}
    got = recorded_draws("offensiveness", name)
    assert (got.mode, got.values_TKD.shape, got.draws) == ("decision", (1500, 1, 1), 1500)
    assert got.unparsable == sum(a not in ("1.0", "2.0", "3.0", "4.0", "5.0") for a in answers.values())
    for problem, value in zip(got.problem_ids, got.values_TKD[:, 0, 0], strict=True):
        if np.isnan(value):
            assert answers[problem] not in ("1.0", "2.0", "3.0", "4.0", "5.0")
        else:
            assert float(answers[problem]) == value + 1


@pytest.mark.parametrize("name", ["gpt4", "gpt35", "tulu2-7b"])
def test_personas_are_six_draws_in_the_order_of_the_prompts(predictions, name: str) -> None:
    got = recorded_draws("offensiveness", f"{name}-personas")
    assert (got.name, got.mode, got.values_TKD.shape) == (f"{name}-personas", "persona", (1500, 6, 1))
    cells = [[row[f"{RATERS[name]}_{prompt}"] for prompt in PROMPTS] for row in predictions]
    assert got.unparsable == sum(c not in ("1.0", "2.0", "3.0", "4.0", "5.0") for row in cells for c in row)
    first = got.problem_ids.tolist().index(predictions[0]["instance_id"])
    expected = [float(c) - 1 if c in ("1.0", "2.0", "3.0", "4.0", "5.0") else np.nan for c in cells[0]]
    np.testing.assert_array_equal(got.values_TKD[first, :, 0], expected)


def test_gpt4_zero_shot_scores_as_in_the_protocol(predictions) -> None:
    # MAE .72 and RMSE 1.00 of the raw GPT-4 decision against the human means (over all problems here)
    study = load_dataset("offensiveness")
    r = study.responses
    mean_T = np.bincount(r.problem_R, weights=r.values_RD[:, 0]) / np.bincount(r.problem_R)
    got = recorded_draws("offensiveness", "gpt4")
    assert got.problem_ids.tolist() == study.problems.ids.tolist()
    difference = got.values_TKD[:, 0, 0] - mean_T
    assert abs(np.abs(difference).mean() - 0.72) < 0.02
    assert abs(np.sqrt((difference**2).mean()) - 1.00) < 0.03


def test_the_elicited_distribution_adds_up_and_says_what_it_knew() -> None:
    got = recorded_draws("offensiveness", "elicited")
    assert (got.mode, got.values_TKD.shape, got.unparsable) == ("distribution", (1500, 1, 1), 0)
    assert got.problem_ids.tolist() == [str(i) for i in range(1500)]
    assert got.distribution_TM is not None
    np.testing.assert_allclose(got.distribution_TM.sum(axis=1), 1.0)
    np.testing.assert_allclose(got.distribution_TM[0], [0.62, 0.18, 0.12, 0.05, 0.03])
    assert got.values_TKD[2, 0, 0] == 1  # the file's decision 2 on problem 2
    assert "rating shares" in got.note


@pytest.mark.parametrize(("dataset", "problems", "levels"), [("bfi", 25, 6), ("ev_attitudes", 7, 7)])
def test_elicited_survey_answers_are_eight_legal_draws_and_a_distribution(
    dataset: str, problems: int, levels: int
) -> None:
    got = recorded_draws(dataset, "elicited")
    assert (got.mode, got.values_TKD.shape, got.draws, got.unparsable) == (
        "samples",
        (problems, 8, 1),
        8 * problems,
        0,
    )
    assert np.isin(got.values_TKD, np.arange(levels)).all()
    assert got.distribution_TM is not None
    assert got.distribution_TM.shape == (problems, levels)
    np.testing.assert_allclose(got.distribution_TM.sum(axis=1), 1.0)
    assert "not independent" in got.note


def test_elicited_survey_answers_are_encoded_from_the_lowest_level() -> None:
    # first rows of the recordings: A1 2,2,1,...; attr_Price -1,-1,-2,...
    assert recorded_draws("bfi", "elicited").values_TKD[0, :3, 0].tolist() == [1, 1, 0]
    assert recorded_draws("ev_attitudes", "elicited").values_TKD[0, :3, 0].tolist() == [2, 2, 1]


@pytest.mark.parametrize("dataset", ["offensiveness", "voting", "bfi", "ev_attitudes"])
def test_recordings_stand_in_the_order_of_the_study(published, dataset: str) -> None:
    published(TSV)
    study = load_dataset(dataset)
    for source in recorded_sources(dataset):
        got = recorded_draws(dataset, source)
        assert got.problem_ids.tolist() == study.problems.ids.tolist()
        assert got.values_TKD.shape[2] == study.responses.values_RD.shape[1]


@pytest.mark.parametrize("name", list(VOTERS))
def test_ballots_of_an_llm_are_legal_or_nan_and_counted(published, name: str) -> None:
    records = json.loads(published(VOTERS[name][0].path).read_text(encoding="utf-8"))
    got = recorded_draws("voting", name)
    assert (got.values_TKD.shape, got.draws) == ((1, 180, 24), 180)
    assert got.mode == ("persona" if "personas" in name else "samples")
    good = [len(set(r["votes"])) == len(r["votes"]) == 5 and set(r["votes"]) <= set(range(1, 25)) for r in records]
    assert got.unparsable == good.count(False)
    for record, fine, row in zip(records, good, got.values_TKD[0], strict=True):
        if fine:
            assert sorted(record["votes"]) == (np.flatnonzero(row) + 1).tolist()
        else:
            assert np.isnan(row).all()


def test_gpt4_at_temperature_0_has_no_bad_ballot_and_at_2_some(published) -> None:
    published(VOTERS["gpt4-temp0"][0].path)
    assert recorded_draws("voting", "gpt4-temp0").unparsable == 0
    assert recorded_draws("voting", "gpt4-temp2").unparsable == 14  # counted by hand in the file


def test_every_recording_says_where_it_comes_from(published) -> None:
    published(TSV)
    for dataset in DATASETS:
        for source in recorded_sources(dataset):
            assert len(recorded_draws(dataset, source).note) > 40
