"""Tables: means and intervals over seeds, the best row and those not told apart, rows that several runs share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdllm.experiments.comparison import COLUMNS
from crowdllm.experiments.reproduce.measures import (
    CROWD,
    HEIGHTS,
    HEIGHTS_MEASURES,
    OPTIONS,
    PEOPLE,
    columns_of,
    known_columns,
    measure_of,
    unknown_metrics,
)
from crowdllm.experiments.reproduce.plan import Printed, PrintedColumn
from crowdllm.experiments.reproduce.tables import (
    Line,
    Scores,
    at_size,
    fraction_table,
    line_of,
    present_columns,
    printed_table,
    result_table,
    side_by_side,
)

NAN = float("nan")
MAE = ("mae", "mean")


def scores(*rows: tuple[str, str, str, list[float]], fraction: float = 1.0, size: int = 20) -> pd.DataFrame:
    """Rows are (method, references, metric, value per seed)."""
    aggregator = {"mae": "mean", "rmse": "mean"}
    full = [
        ("toy", "problem", fraction, references, method, size, aggregator.get(metric, ""), seed, metric, value)
        for method, references, metric, values in rows
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(full, columns=COLUMNS)


def test_a_cell_is_the_mean_with_half_its_t_interval() -> None:
    table = result_table(scores(("random", "none", "mae", [1.0, 2.0, 3.0])), [MAE], "caption")
    # s = 1, t_{2, .975} = 4.3027, half = 4.3027 / sqrt(3)
    assert table.rows[0][1].text == "2.000 ±2.484"
    assert table.header == ("method", "mae")


def test_one_seed_has_no_interval() -> None:
    assert result_table(scores(("random", "none", "mae", [0.5])), [MAE], "").rows[0][1].text == "0.500"


def test_the_best_row_is_marked_and_those_not_told_apart_from_it() -> None:
    frame = scores(
        ("pooled", "none", "mae", [1.00, 1.10, 1.05]),  # .10 above the best on every split: told apart
        ("svr", "gpt4", "mae", [0.90, 1.03, 0.95]),  # differs on one split only
        ("crowdllm", "gpt4", "mae", [0.90, 1.00, 0.95]),
        ("human-floor", "none", "mae", [0.1, 0.1, 0.1]),
    )
    marks = {row[0].text: (row[1].best, row[1].near) for row in result_table(frame, [MAE], "").rows}
    assert marks == {
        "pooled": (False, False),
        "svr [gpt4]": (False, True),
        "crowdllm [gpt4]": (True, False),
        "human-floor": (False, False),
    }


def test_where_higher_is_better_the_highest_is_best_and_where_one_is_right_the_nearest() -> None:
    frame = scores(
        ("random", "none", "cosine", [0.5]),
        ("pooled", "none", "cosine", [0.9]),
        ("random", "none", "dispersion", [1.3]),
        ("pooled", "none", "dispersion", [0.8]),
    )
    table = result_table(frame, [("cosine", ""), ("dispersion", "")], "")
    assert [[cell.best for cell in row[1:]] for row in table.rows] == [[False, False], [True, True]]


def test_a_row_without_all_splits_says_so_and_is_never_best() -> None:
    frame = scores(("random", "none", "mae", [0.9, 0.9]), ("pooled", "none", "mae", [1.0, 1.0]))
    frame = pd.concat([frame, scores(("vae", "none", "mae", [0.1]))])
    table = result_table(frame, [MAE], "")
    assert table.rows[-1][1].text == "0.100 (1 splits)"
    assert [row[1].best for row in table.rows] == [True, False, False]


def test_an_undefined_value_is_said_to_be_undefined() -> None:
    frame = scores(("random", "none", "coherence", [NAN, NAN]), ("pooled", "none", "mae", [1.0, 1.0]))
    table = result_table(frame, [MAE, ("coherence", "")], "")
    assert [[c.text for c in row] for row in table.rows] == [
        ["random", "", "not defined"],
        ["pooled", "1.000 ±.000", ""],
    ]


def test_rows_stand_in_the_order_of_the_protocol_with_the_floor_last() -> None:
    names = ("human-floor", "something-new", "crowdllm", "zero-shot", "random")
    frame = scores(*((name, "gpt4", "mae", [1.0]) for name in names))
    assert [line.method for line in Scores.of(frame).lines] == [
        "random",
        "zero-shot",
        "crowdllm",
        "something-new",
        "human-floor",
    ]
    assert result_table(frame, [MAE], "").apart == frozenset({4})


def test_rows_that_use_no_references_are_one_row_whatever_the_run_had() -> None:
    frame = pd.concat([scores(("random", "gpt4", "mae", [1.0, 2.0])), scores(("random", "all", "mae", [1.0, 2.0]))])
    assert Scores.of(frame).lines == [Line("random")]
    assert Scores.of(frame).known(Line("random"), MAE) == [1.0, 2.0]
    assert line_of("zero-shot", "gpt4") == Line("zero-shot", "gpt4")
    assert line_of("crowdllm", "none") == Line("crowdllm")


def test_numbers_of_another_crowd_size_stay_out() -> None:
    frame = pd.concat([scores(("random", "none", "mae", [1.0])), scores(("random", "none", "mae", [5.0]), size=1000)])
    frame = pd.concat([frame, scores(("random", "none", "nll", [1.6]), size=0)])
    part = at_size(frame, 20)
    assert Scores.of(part).known(Line("random"), MAE) == [1.0]
    assert Scores.of(part).known(Line("random"), ("nll", "")) == [1.6]


def test_the_main_table_never_has_wd_heights_beside_avg_wd() -> None:
    assert "avg_wd" in CROWD
    for shown_together in ({*CROWD, *OPTIONS}, set(PEOPLE)):
        assert not shown_together & set(HEIGHTS_MEASURES)
    frame = scores(*(("random", "none", metric, [1.0]) for metric in ("avg_wd", HEIGHTS)))
    assert columns_of(CROWD, present_columns(frame)) == [("avg_wd", "")]
    assert measure_of(HEIGHTS) is not None


def test_metrics_that_no_table_shows_are_named_those_of_single_groups_by_their_kind() -> None:
    names = ("problems", "new_metric", "subgroup_wd", "subgroup_wd:age=18-24", "subgroup_wd:age=25-29", "nll_known_5")
    frame = scores(*(("random", "none", metric, [1.0]) for metric in names))
    assert unknown_metrics(present_columns(frame)) == ["new_metric", "subgroup_wd of each group or scale"]


def test_scores_with_known_answers_stand_in_the_order_of_their_number() -> None:
    names = ("crps_known_0", "nll_known_10", "nll_known_5", "nll_known_0", "known_scored", "nll")
    frame = scores(*(("random", "none", metric, [1.0]) for metric in names))
    columns = [metric for metric, _ in known_columns(present_columns(frame))]
    assert columns == ["nll_known_0", "nll_known_5", "nll_known_10", "crps_known_0"]
    told = measure_of("nll_known_5")
    assert told is not None
    assert told.words == "nll where 5 other answers of the person are known"


def test_a_table_of_fractions_has_a_column_per_share_and_a_hole_where_a_method_was_left_out() -> None:
    frame = pd.concat(
        [
            scores(("random", "none", "mae", [1.0]), ("vae", "none", "mae", [2.0])),
            scores(("random", "none", "mae", [3.0]), fraction=0.01),
        ]
    )
    table = fraction_table(frame, MAE)
    assert table.header == ("method", "1 %", "100 %")
    assert [[c.text for c in row] for row in table.rows] == [["random", "3.000", "1.000"], ["vae", "", "2.000"]]


def test_parts_side_by_side_each_have_their_own_best_row() -> None:
    small = scores(("random", "none", HEIGHTS, [0.3]), ("vae", "none", HEIGHTS, [0.2]))
    large = scores(("random", "none", HEIGHTS, [0.1]), ("vae", "none", HEIGHTS, [0.4]), size=1000)
    table = side_by_side({"crowd of 20": small, "crowd of 1,000": large}, (HEIGHTS, ""), "caption", "note")
    assert (table.caption, table.note, table.header) == ("caption", "note", ("method", "crowd of 20", "crowd of 1,000"))
    assert [[c.text for c in row] for row in table.rows] == [["random", "0.300", "0.100"], ["vae", "0.200", "0.400"]]
    assert [[c.best for c in row[1:]] for row in table.rows] == [[False, True], [True, False]]


def test_printed_rows_are_set_off_and_named_as_printed() -> None:
    columns = (PrintedColumn("MAE", "mae", "mean"), PrintedColumn("WD (ours: wd_heights)", HEIGHTS))
    table = printed_table(Printed("Table 3", columns, (("CrowdLLM", (0.21, 0.04)),), note="a note"))
    assert table.foreign
    assert table.header == ("method", "MAE", "WD")
    assert [c.text for c in table.rows[0]] == ["CrowdLLM", "0.21", "0.04"]
    assert "Table 3" in table.caption
    assert "other splits, another LLM" in table.caption
    assert not any(cell.best for cell in table.rows[0])


@pytest.mark.parametrize("name", [*CROWD, *PEOPLE, *OPTIONS, *HEIGHTS_MEASURES])
def test_every_measure_orders_its_best_value_first(name: str) -> None:
    measure = measure_of(name)
    assert measure is not None
    better, worse = {"low": (0.1, 0.2), "high": (0.9, 0.8), "at": (measure.target + 0.1, measure.target - 0.3)}[
        measure.aim
    ]
    if not np.isnan(measure.target):
        assert measure.distance(np.array([better]))[0] < measure.distance(np.array([worse]))[0]
    else:
        assert name in ("text_r2", "subgroup_floor", "subgroup_excess_ratio")
