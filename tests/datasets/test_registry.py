"""Data sets are found by name, their options are checked, and their cards say what is known."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from crowdllm.datasets import CARDS, DATASETS, dataset_cards, load_dataset
from crowdllm.errors import DataUnavailableError, UnknownNameError


def test_unknown_data_set_lists_the_names_and_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'offensiveness'") as caught:
        load_dataset("offensivness")
    assert caught.value.valid == list(DATASETS)


def test_unknown_option_lists_the_options() -> None:
    with pytest.raises(UnknownNameError, match="'format'"):
        load_dataset("voting", fromat="s5")
    with pytest.raises(UnknownNameError, match=r"\(none\)"):
        load_dataset("bfi", format="s5")


@pytest.mark.parametrize(("name", "option"), [("voting", "format"), ("beps", "item_set")])
def test_unknown_value_of_an_option_lists_the_values(name: str, option: str) -> None:
    with pytest.raises(UnknownNameError, match=f"{option} 'nothing'"):
        load_dataset(name, **{option: "nothing"})


def test_every_data_set_has_a_card_of_its_own_name() -> None:
    assert list(CARDS) == list(DATASETS)
    assert [card.name for card in dataset_cards()] == list(DATASETS)


def test_cards_say_source_licence_and_size() -> None:
    for card in dataset_cards():
        assert card.description
        assert card.url
        assert card.licence
        assert min(card.participants, card.problems, card.responses) > 0


def test_a_card_says_where_a_checksum_is_not_known() -> None:
    by_name = {card.name: card for card in dataset_cards()}
    assert by_name["offensiveness"].checksums == "known"
    for name in ("ev_attitudes", "musical", "amazon_beauty", "amazon_music"):
        assert "not known" in by_name[name].checksums
        assert any("hecksum" in note for note in by_name[name].notes)


def test_known_checksums_are_sha256_and_repository_addresses_name_a_commit() -> None:
    for card in dataset_cards():
        for file in card.files:
            assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
            if "githubusercontent" in file.url:
                assert re.fullmatch(r"https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/[0-9a-f]{40}/.+", file.url)


def test_cards_tell_whether_the_files_are_here(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROWDLLM_DATA_DIR", str(tmp_path))
    by_name = {card.name: card for card in dataset_cards()}
    assert not by_name["beps"].available
    assert by_name["synthetic"].available
    (tmp_path / "surveys").mkdir()
    (tmp_path / "surveys" / "carData_BEPS.csv").touch()
    assert by_name["beps"].available


def test_a_data_set_missing_from_the_mirror_names_its_file(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROWDLLM_DATA_DIR", str(tmp_path))
    with pytest.raises(DataUnavailableError, match=r"surveys/psych_bfi\.csv"):
        load_dataset("bfi")


def test_published_files_load_with_the_counts_on_their_cards(mirror) -> None:
    here = [card for card in dataset_cards() if card.available and card.files]
    if not here:
        pytest.skip("no published file lies in CROWDLLM_DATA_DIR")
    for card in here:
        study = load_dataset(card.name)
        counts = (len(study.profiles), len(study.problems), len(study.responses))
        assert (card.name, *counts) == (card.name, card.participants, card.problems, card.responses)
        assert not study.simulated
        assert study.response_type.legal(
            study.responses.values_RD, study.problems.option_counts[study.responses.problem_R]
        ).all()
        assert card.url in study.source[0]


def test_listing_the_cards_loads_no_heavy_package() -> None:
    heavy = "{'torch', 'transformers', 'matplotlib', 'sklearn', 'pooch', 'requests'}"
    code = (
        "import sys, crowdllm.datasets as d; [(c.available, c.recorded) for c in d.dataset_cards()]; "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
