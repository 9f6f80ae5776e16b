"""SPSS and Stata files, read back by pyreadstat: values, labels, names, weights and limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.exporting import export
from crowdllm.exchange.labelled_columns import legal_name, scale_codes
from crowdllm.responses.ordinal import Ordinal

Make = Callable[..., Any]
SUFFIXES = (".sav", ".dta")


def read(path: Path) -> tuple[pd.DataFrame, Any]:
    return pyreadstat.read_sav(path) if path.suffix == ".sav" else pyreadstat.read_dta(path)


def labels_of(meta: Any, name: str) -> dict[int, str]:
    return {int(code): label for code, label in meta.variable_value_labels[name].items()}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_people_are_rows_and_levels_are_labelled(suffix: str, make_known: Make, tmp_path: Path) -> None:
    study: Study = make_known("ordinal", people=9, problems=4, per_person=3).study
    study = replace(study, weights_N=np.linspace(0.5, 2, 9))
    done = export(study, "", tmp_path / f"out{suffix}")
    frame, meta = read(tmp_path / f"out{suffix}")
    assert frame["participant"].tolist() == study.profiles.ids.tolist()
    np.testing.assert_array_equal(frame["weight"], study.weights_N)
    wide = np.full((9, 4), np.nan)
    wide[study.responses.participant_R, study.responses.problem_R] = study.responses.values_RD[:, 0]
    np.testing.assert_array_equal(frame[[str(i) for i in study.problems.ids]].to_numpy(), wide + 1)
    assert labels_of(meta, "q00") == {1: "1", 2: "2", 3: "3", 4: "4", 5: "5"}
    assert labels_of(meta, "leaning") == {1: "low", 2: "middle", 3: "high"}
    leaning = study.profiles.values_NC[:, study.profiles.position("leaning")]
    np.testing.assert_array_equal(frame["leaning"], leaning + 1)
    assert meta.column_names_to_labels["age"] == "age in years"
    assert meta.column_names_to_labels["q00"] == study.problems.texts[0]
    assert labels_of(meta, "simulated") == {0: "no", 1: "yes"}
    assert any("weighted" in note for note in done.notes)


def test_answers_to_options_are_labelled_or_one_variable_per_option(make_known: Make, tmp_path: Path) -> None:
    for kind in ("choice", "ballot", "points", "ranking"):
        study = make_known(kind, people=7, problems=2, same_options=True).study
        export(study, "", tmp_path / f"{kind}.sav")
        frame, meta = read(tmp_path / f"{kind}.sav")
        values = study.responses.values_RD[study.responses.problem_R == 0]
        if kind == "choice":
            np.testing.assert_array_equal(frame["q00"], values[:, 0] + 1)
            assert labels_of(meta, "q00") == {m + 1: o for m, o in enumerate(study.problems.options[0])}
            continue
        names = [f"q00_{m + 1}" for m in range(5)]
        np.testing.assert_array_equal(frame[names].fillna(0).to_numpy(), values)
        assert meta.column_names_to_labels["q00_2"].endswith(f": {study.problems.options[0][1]}")


def test_codes_are_the_levels_own_numbers_where_they_are_whole() -> None:
    assert scale_codes(Ordinal(("-1", "0", "1")))[1] == {-1: "-1", 0: "0", 1: "1"}
    assert scale_codes(Ordinal(("no", "yes"), points=(0.0, 10.0)))[1] == {0: "no", 10: "yes"}
    assert scale_codes(Ordinal(("low", "high"), points=(0.25, 0.5)))[1] == {1: "low", 2: "high"}


def test_names_become_legal_and_none_comes_twice() -> None:
    taken: set[str] = set()
    names = []
    for wanted in ("Q 1", "q_1", "1st", "by", "ünïcode", "漢字", "x" * 50, "x" * 60, "_"):
        names.append(legal_name(wanted, taken))
        taken.add(names[-1].casefold())
    assert names == ["Q_1", "q_1_2", "v_1st", "v_by", "n_code", "v", "x" * 32, f"{'x' * 30}_2", "v_2"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_strange_ids_and_long_texts_are_renamed_and_cut_with_a_note(
    suffix: str, make_known: Make, tmp_path: Path
) -> None:
    study = make_known("ordinal", people=6, problems=2).study
    texts = np.array(["ü" * 400, "with\0null and 'quotes'"], dtype=object)
    odd = replace(study, problems=Problems(np.array(["=2 x", "="], dtype=object), texts))
    done = export(odd, "", tmp_path / f"out{suffix}")
    _, meta = read(tmp_path / f"out{suffix}")
    label = meta.column_names_to_labels["v_2_x"]
    assert set(label) == {"ü"}
    assert len(label) >= 80
    assert meta.column_names_to_labels["v"] == "with null and 'quotes'"
    assert any("no variable names" in note for note in done.notes)
    assert any("labels are longer" in note for note in done.notes)


def test_tables_of_distributions_fit_too(make_known: Make, tmp_path: Path) -> None:
    study = make_known("ordinal", people=9, problems=4).study
    export(study, "", tmp_path / "out.dta", "distributions")
    frame, _ = read(tmp_path / "out.dta")
    mean = study.responses.values_RD[study.responses.problem_R == 0, 0].mean() + 1
    assert frame["mean"][0] == pytest.approx(mean)
    assert frame["problem"].tolist() == study.problems.ids.tolist()


def test_a_file_made_in_memory_has_a_limit(make_known: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crowdllm.exchange.export_source.MOST_CELLS", 100)
    with pytest.raises(CrowdLLMError, match=r"at most 100 are allowed: export to csv or parquet"):
        export(make_known("ordinal", people=30, problems=4).study, "", tmp_path / "out.sav")
    assert not list(tmp_path.iterdir())
