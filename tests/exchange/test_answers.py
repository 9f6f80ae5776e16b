"""What a tool leaves open about answers is settled, and what does not fit is counted."""

from __future__ import annotations

import numpy as np

from crowdllm.exchange.answers import settle_budget, settle_depth
from crowdllm.exchange.item_cells import order_cells, picks_cells, points_cells, rank_cells, split_labels
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.survey import Item, distinct_options


def cells(*words: str) -> np.ndarray:
    return np.array(words, dtype=object)


def item(*words: str) -> Item:
    return Item("Q1", "Rank", "ranking", ("a", "b", "c"), cells(*words))


def test_full_rankings_have_depth_zero() -> None:
    ledger = Ledger()
    settings, out = settle_depth(item("#1|#2|#3", "", "#3|#2|#1"), ("a", "b", "c"), ledger)
    assert settings == {"type": "ranking", "depth": 0}
    assert list(out) == ["#1|#2|#3", "", "#3|#2|#1"]
    assert not ledger.notes


def test_rankings_of_several_depths_are_cut_to_one_that_nine_in_ten_reach() -> None:
    """Ten people: one ranks one option, six rank two and three rank three: nine reach two, three reach three."""
    ledger = Ledger()
    settings, out = settle_depth(item("#1", *["#1|#2"] * 6, *["#3|#2|#1"] * 3, ""), ("a", "b", "c"), ledger)
    assert settings == {"type": "ranking", "depth": 2}
    assert list(out) == ["", *["#1|#2"] * 6, *["#3|#2"] * 3, ""]
    assert {note.kind: note.count for note in ledger.notes} == {"answers shortened": 3, "answers left out": 1}


def test_a_budget_nobody_states_is_what_most_people_spend() -> None:
    ledger = Ledger()
    points = Item("Q2", "Spread", "points", ("a", "b"), cells("#1=60|#2=40", "#1=100", "#1=7|#2=2", "", "#1=x"))
    assert settle_budget(points, {"type": "points", "budget": 0}, ledger)[0] == {"type": "points", "budget": 100}
    assert ledger.notes[0].kind == "guessed"
    assert settle_budget(points, {"type": "points", "budget": 10}, ledger)[0]["budget"] == 10


def test_ranks_in_columns_become_an_order_or_stay_to_be_counted() -> None:
    out = rank_cells([cells("2", "1", "1", "", "x"), cells("1", "1", "", "", "1"), cells("3", "2", "2", "", "")])
    assert list(out) == ["#2|#1|#3", "ranks 1, 1, 2", "#1|#3", "", "ranks x, 1, "]


def test_places_in_columns_become_an_order_or_stay_to_be_counted() -> None:
    places = [cells("b", "a", "", "zz"), cells("a", "a", "b", ""), cells("", "", "", "")]
    assert list(order_cells(places, {"a": 0, "b": 1})) == ["#2|#1", "order a, a, ", "order , b, ", "order zz, , "]


def test_points_in_columns_leave_zeros_out() -> None:
    assert list(points_cells([cells("60", "0", "", "a"), cells("40", "0", "", "1")])) == [
        "#1=60|#2=40",
        "no points",
        "",
        "#1=a|#2=1",
    ]


def test_picking_nothing_is_an_answer_and_not_answering_is_none() -> None:
    chosen_NM = np.array([[True, False, True], [False, False, False], [False, False, False]])
    assert list(picks_cells(chosen_NM, np.array([True, True, False]))) == ["#1|#3", "|", ""]


def test_labels_that_hold_the_separator_are_told_apart() -> None:
    labels = ("Lyon, the old town", "Lyon", "Nice")
    assert split_labels("Lyon, the old town,Nice", labels) == [0, 2]
    assert split_labels("Lyon,Nice", labels) == [1, 2]
    assert split_labels("Lyon,Paris", labels) is None
    assert split_labels("Nice,Nice", labels) is None


def test_options_that_read_alike_are_numbered() -> None:
    assert distinct_options(["Yes", " yes ", "", "No", "Yes (2)"]) == (
        "Yes",
        "yes (2)",
        "(option 3)",
        "No",
        "Yes (2) (2)",
    )
