"""The personality items: answers, item texts, keying, profiles."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd

from crowdllm.datasets import load_dataset
from crowdllm.datasets.bfi import ITEMS, build, keying_agreement


def test_hand_written_answers_become_a_study() -> None:
    answers = pd.DataFrame([["6"] * 25, ["1"] * 24 + [""]], columns=list(ITEMS))
    answers = answers.assign(rownames=["61617", "61618"], gender=["1", "2"], education=["", "5"], age=["16", "40"])
    dictionary = pd.DataFrame(
        {
            "rownames": [*ITEMS, "age"],
            "Item": [f"text {i}" for i in ITEMS] + [""],
            "Keying": ["1"] * 25 + [""],
        }
    )
    study = build(answers, dictionary)
    assert study.describe() == "N=2 T=25 R=49"
    assert study.responses.values_RD[:25].tolist() == [[5.0]] * 25
    assert study.responses.values_RD[25:].tolist() == [[0.0]] * 24
    assert study.problems.texts[1] == "text A2"
    people = study.profiles.to_frame()
    assert people["gender"].tolist() == ["male", "female"]
    assert people["education"].fillna("").tolist() == ["", "graduate degree"]
    assert people["age"].tolist() == [16, 40]
    assert any("1 missing answers and 0 off the scale" in line for line in study.source)


def test_published_answers_are_those_of_the_file(published) -> None:
    with published("surveys/psych_bfi.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    study = load_dataset("bfi")
    table = np.full((2800, 25), np.nan)
    table[study.responses.participant_R, study.responses.problem_R] = study.responses.values_RD[:, 0] + 1
    expected = [[float(row[item]) if row[item] else np.nan for item in ITEMS] for row in rows]
    np.testing.assert_array_equal(table, expected)
    blank = sum(row[item] == "" for row in rows for item in ITEMS)
    assert len(study.responses) == 2800 * 25 - blank
    assert any(line.startswith(f"{blank} missing answers") for line in study.source)


def test_published_items_carry_scale_and_keying(published) -> None:
    published("surveys/psych_bfi.dictionary.csv")
    problems = load_dataset("bfi").problems
    assert problems.texts[0] == "Am indifferent to the feelings of others."
    assert problems.attributes["scale"].tolist() == [letter for letter in "ACENO" for _ in range(5)]
    keying = dict(zip(problems.ids, problems.attributes["keying"], strict=True))
    assert (keying["A1"], keying["A2"], keying["E1"], keying["N3"], keying["O5"]) == (-1, 1, -1, -1, -1)


def test_keying_agreement_counts_pairs_within_scales_only() -> None:
    # one factor drives everything; an item keyed against it is turned round, so all 5 * 10 pairs agree
    factor = np.random.default_rng(1).standard_normal((200, 1))
    keying = np.where(np.arange(25) % 3 == 0, -1.0, 1.0)
    assert keying_agreement(factor * keying, keying) == (50, 50)
    keying[0] *= -1  # a wrong key spoils that item's four pairs
    assert keying_agreement(factor * np.where(np.arange(25) % 3 == 0, -1.0, 1.0), keying) == (46, 50)
