"""What a user may name: a study folder, a data set with options, and references."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crowdllm.data.new_study import new_study
from crowdllm.errors import ConfigError, CrowdLLMError, UnknownNameError
from crowdllm.experiments.sources import open_references, open_study, reference_names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    new_study(tmp_path / "study")
    return tmp_path / "study"


def test_a_folder_is_opened_under_its_own_name(folder: Path) -> None:
    opened = open_study(str(folder))
    assert (opened.name, opened.dataset, opened.folder) == ("study", "", folder)
    assert len(opened.study.profiles) == 12


def test_a_data_set_takes_options_after_a_colon() -> None:
    opened = open_study("synthetic:participants=7,problems=5,per_participant=3,diversity=0.5")
    assert opened.study.describe() == "N=7 T=5 R=21"
    assert (opened.name, opened.dataset) == ("synthetic", "synthetic")


def test_an_unknown_name_lists_both_possibilities_and_the_nearest() -> None:
    with pytest.raises(
        CrowdLLMError, match=r"neither a study folder nor a data set.*crowdllm new.*did you mean 'voting'"
    ):
        open_study("votting")


def test_unknown_and_malformed_options_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'participants'"):
        open_study("synthetic:participant=7")
    with pytest.raises(ConfigError, match="'participants' is not of the form key=value"):
        open_study("synthetic:participants")


@pytest.mark.parametrize("value", ["many", "7.5", "-1", "nan"])
def test_option_values_of_another_kind_are_refused_in_words(value: str) -> None:
    with pytest.raises(CrowdLLMError):
        open_study(f"synthetic:participants={value}")


def test_a_folder_without_recorded_references_has_none(folder: Path) -> None:
    opened = open_study(str(folder))
    assert reference_names(opened) == []
    assert open_references(opened, None) is None
    assert open_references(opened, "none") is None


def test_recorded_references_beside_the_study_are_its_default(folder: Path) -> None:
    (folder / "references.csv").write_text("problem,k1,k2\nfocus,4,5\nmeetings,2,no answer\n")
    opened = open_study(str(folder))
    assert reference_names(opened) == ["recorded"]
    found = open_references(opened, None)
    assert found is not None
    source = found.sources[0]
    assert (source.name, source.asked, source.unparsable) == ("recorded", 4, 1)
    np.testing.assert_array_equal(source.values_TKD[:2, :, 0], [[3, 4], [1, np.nan]])
    assert np.isnan(source.values_TKD[2:]).all()


def test_a_table_elsewhere_is_a_source_named_after_its_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "gpt.csv").write_text("problem,k1\nfocus,4\n")
    found = open_references(open_study(str(folder)), str(tmp_path / "gpt.csv"))
    assert found is not None
    assert found.names == ("gpt",)


def test_a_mistyped_source_lists_the_valid_ones(folder: Path) -> None:
    (folder / "references.csv").write_text("problem,k1\nfocus,4\n")
    opened = open_study(str(folder))
    with pytest.raises(UnknownNameError, match=r"unknown reference source 'recordd'.*did you mean 'recorded'"):
        open_references(opened, "recordd")
    with pytest.raises(ConfigError, match="names nothing"):
        open_references(opened, " , ")


def test_all_without_any_recorded_source_is_no_crash(folder: Path) -> None:
    with pytest.raises(CrowdLLMError, match="no recorded"):
        open_references(open_study(str(folder)), "all")


def test_the_same_source_twice_is_refused(folder: Path) -> None:
    (folder / "references.csv").write_text("problem,k1\nfocus,4\n")
    with pytest.raises(ConfigError, match="'recorded' is named twice"):
        open_references(open_study(str(folder)), "recorded,recorded")


# --- several named sources in a folder ---------------------------------------------------------------------------


@pytest.fixture
def named(folder: Path) -> Path:
    (folder / "references.csv").write_text("problem,k1\nfocus,4\n")
    (folder / "references").mkdir()
    for name, answer in (("gpt", 2), ("llama", 3)):
        (folder / "references" / f"{name}.csv").write_text(f"problem,decision\nfocus,{answer}\n")
    (folder / "references" / "gpt.json.part").write_text("not a table")
    return folder


def test_every_table_in_the_folder_is_a_source_of_its_name(named: Path) -> None:
    opened = open_study(str(named))
    assert reference_names(opened) == ["recorded", "gpt", "llama"]
    found = open_references(opened, "llama,gpt")
    assert found is not None
    assert found.names == ("llama", "gpt")
    assert [source.values_TKD[0, 0, 0] for source in found.sources] == [2, 1]
    features = found.features(opened.study.response_type, opened.study.problems)[1]
    assert {name.partition(":")[0].partition("?")[0] for name in features} == {"llama", "gpt"}


def test_all_is_every_source_and_the_default_is_the_recorded_one_or_all(named: Path) -> None:
    opened = open_study(str(named))
    everything, default = open_references(opened, "all"), open_references(opened, None)
    assert everything is not None
    assert everything.names == ("recorded", "gpt", "llama")
    assert default is not None
    assert default.names == ("recorded",)
    (named / "references.csv").unlink()
    without = open_references(open_study(str(named)), None)
    assert without is not None
    assert without.names == ("gpt", "llama")


def test_two_tables_of_one_name_are_refused(named: Path) -> None:
    (named / "references" / "recorded.csv").write_text("problem,decision\nfocus,2\n")
    with pytest.raises(ConfigError, match=r"references\.csv and .*recorded\.csv are both called 'recorded'"):
        reference_names(open_study(str(named)))


@pytest.mark.parametrize("name", ["all.csv", "none.csv", "a,b.csv", " x.csv", "a\x1b.csv"])
def test_names_that_cannot_be_said_are_refused(named: Path, name: str) -> None:
    (named / "references" / name).write_text("problem,decision\nfocus,2\n")
    with pytest.raises(ConfigError, match="rename it"):
        reference_names(open_study(str(named)))
