"""Problems from a table for a fitted crowd: any separator, references where the model expects them, clear refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.errors import CrowdLLMError, MismatchError, StudyError
from crowdllm.experiments.new_problems import items_for_file, read_problems

Known = Callable[..., Any]


@pytest.fixture(scope="module")
def models(make_known: Known, fast_config: Known) -> Callable[[str, bool], CrowdModel]:
    def get(kind: str, references: bool = False) -> CrowdModel:
        known = make_known(kind, people=20, problems=5)
        return fit_crowd(known.study, known.references if references else None, fast_config(max_epochs=1), 0)

    return get


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_found_out(models: Known, tmp_path: Path, separator: str) -> None:
    path = tmp_path / "new.csv"
    path.write_text(f'problem{separator}text\nn1{separator}"One, two; three"\nn2{separator}Ünïcode\n', encoding="utf-8")
    problems = read_problems(path, models("ordinal"))
    assert problems.ids.tolist() == ["n1", "n2"]
    assert problems.texts.tolist() == ["One, two; three", "Ünïcode"]


def test_a_parquet_table_is_read(models: Known, tmp_path: Path) -> None:
    path = tmp_path / "new.parquet"
    pd.DataFrame({"problem": ["n1"], "text": ["One"], "topic": ["x"]}).to_parquet(path)
    problems = read_problems(path, models("ordinal"))
    assert problems.ids.tolist() == ["n1"]


@pytest.mark.parametrize("kind", ["choice", "approval", "points", "ranking"])
def test_options_may_differ_from_those_of_training(models: Known, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "new.csv"
    path.write_text("problem,text,options\nn1,One,a|b|c\nn2,Two,d|e|f|g|h|i|j\n")
    items = items_for_file(models(kind), path, None)
    assert items.option_counts.tolist() == [3, 7]
    assert items.item_TU.shape == (2, 7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("problem,text\n", "no problems|nothing|empty|no rows"),
        ("text\nOne\n", "problem"),
        ("problem,text\nn1,One\nn1,Two\n", "n1"),
    ],
)
def test_faulty_tables_are_refused_in_words(models: Known, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "new.csv"
    path.write_text(content)
    with pytest.raises(CrowdLLMError, match=message):
        items_for_file(models("ordinal"), path, None)


def test_a_missing_file_is_named(models: Known, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"nothing\.csv: no such file of problems"):
        read_problems(tmp_path / "nothing.csv", models("ordinal"))


def test_problems_of_a_choice_without_options_are_refused(models: Known, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("problem,text\nn1,One\n")
    with pytest.raises(CrowdLLMError, match="options"):
        items_for_file(models("choice"), path, None)


REFERENCES = "problem,p1,p2,p3,p4,p5\nn1,10,20,30,30,10\nn2,0,0,0,50,50\n"


def test_references_of_new_problems_come_from_a_table(models: Known, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("problem;text\nn1;One\nn2;Two\n")
    (tmp_path / "r.csv").write_text(REFERENCES)
    model = models("ordinal", True)
    items = items_for_file(model, tmp_path / "new.csv", str(tmp_path / "r.csv"))
    assert items.reference_names == model.items.reference_names
    np.testing.assert_allclose(items.decision_TY[:, 0], [3.1, 4.5])


def test_a_model_with_references_says_what_it_needs(models: Known, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("problem,text\nn1,One\n")
    with pytest.raises(
        MismatchError, match=r"fitted with the references 'oracle': give one recorded table.*--references FILE.*0 given"
    ):
        items_for_file(models("ordinal", True), tmp_path / "new.csv", None)


def test_decisions_where_the_model_knows_distributions_are_refused(models: Known, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("problem,text\nn1,One\n")
    (tmp_path / "r.csv").write_text("problem,k1\nn1,3\n")
    with pytest.raises(MismatchError, match="give distributions"):
        items_for_file(models("ordinal", True), tmp_path / "new.csv", str(tmp_path / "r.csv"))


def test_references_for_a_model_without_any_are_refused(models: Known, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("problem,text\nn1,One\n")
    (tmp_path / "r.csv").write_text(REFERENCES)
    with pytest.raises(MismatchError, match="was fitted without references"):
        items_for_file(models("ordinal"), tmp_path / "new.csv", str(tmp_path / "r.csv"))


def test_a_reference_file_that_is_not_there_is_named(models: Known, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("problem,text\nn1,One\n")
    with pytest.raises(CrowdLLMError, match=r"gone\.csv"):
        items_for_file(models("ordinal", True), tmp_path / "new.csv", str(tmp_path / "gone.csv"))
