"""The training mix against the recruited mix, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.estimation.extrapolation import compare_mix
from crowdllm.simulation.groups import EVERYBODY, Groups

COLUMNS = (
    ProfileColumn("region", "categorical", ("north", "south", "east")),
    ProfileColumn("sex", "categorical", ("woman", "man")),
    ProfileColumn("age", "numeric"),
)
THIRDS = ("up to 30", "above 30, up to 50", "above 50")
GROUPS = Groups(
    (
        EVERYBODY,
        *(("region", v) for v in (*COLUMNS[0].levels, "(missing)")),
        *(("sex", v) for v in (*COLUMNS[1].levels, "(missing)")),
        *(("age", v) for v in (*THIRDS, "(missing)")),
    ),
    COLUMNS,
    ((), (), (30.0, 50.0)),
)


def people(*rows: tuple[float, float, float]) -> Profiles:
    return Profiles(COLUMNS, np.array([f"p{i}" for i in range(len(rows))], dtype=object), np.array(rows, dtype=float))


TRAINING = people(*[(0, 0, 25)] * 12, *[(0, 1, 40)] * 12, *[(1, 0, 60)] * 3)


def test_the_same_mix_gives_no_warning_but_of_rare_levels() -> None:
    report = compare_mix(TRAINING, TRAINING, GROUPS)
    assert (report.beyond, report.out_of_range, report.pairs) == (0.0, 0.0, ())
    assert report.rare == pytest.approx(3 / 27)
    assert [w for w in report.warnings() if "south" in w] == [
        "11.1% of the simulated people are region 'south', which only 3 training people were"
    ]
    assert not any("extrapolates" in w for w in report.warnings())


def test_unseen_levels_pairs_and_numbers_are_counted_once_per_recruit() -> None:
    # of eight recruits: one in the east (unseen), one man in the south (unseen pair), one aged 90 (beyond 60)
    recruited = people((2, 0, 25), (1, 1, 60), (0, 0, 90), *[(0, 0, 25)] * 5)
    report = compare_mix(TRAINING, recruited, GROUPS)
    assert report.beyond == pytest.approx(3 / 8)
    assert report.out_of_range == pytest.approx(1 / 8)
    states = {(row.column, row.level): row.state for row in report.rows}
    assert states[("region", "east")] == "unseen"
    assert states[("region", "south")] == "rare"
    assert states[("sex", "woman")] == "seen"
    assert states[("age", "above 30, up to 50")] == "not recruited"
    assert ("region, sex", "south and man") in {(p.columns, p.levels) for p in report.pairs}
    text = "\n".join(report.warnings())
    assert "38% of the simulated people have profiles beyond those of the 27 training people" in text
    assert "region 'east', which no training person was" in text
    assert "outside the range ever seen" in text


def test_the_table_has_a_row_per_level_that_either_side_has() -> None:
    frame = compare_mix(TRAINING, TRAINING, GROUPS).frame()
    north = frame[(frame["column"] == "region") & (frame["level"] == "north")].iloc[0]
    assert (north["training_people"], north["recruited_share"]) == (24, pytest.approx(24 / 27))
    assert "east" not in set(frame["level"])


def test_other_columns_or_nobody_are_refused() -> None:
    other = Profiles(COLUMNS[:2], np.array(["a"], dtype=object), np.zeros((1, 2)))
    with pytest.raises(MismatchError, match="age"):
        compare_mix(TRAINING, other, GROUPS)
    with pytest.raises(ConfigError, match="both sides"):
        compare_mix(TRAINING, TRAINING.take(np.zeros(0, dtype=np.int64)), GROUPS)


def test_survey_weights_count_in_shares_and_not_in_how_many_were_seen() -> None:
    # the three people of the south (of 27) stand for eight each: 24 of 48
    weights = np.r_[np.ones(24), np.full(3, 8.0)]
    south = next(r for r in compare_mix(TRAINING, TRAINING, GROUPS, weight_N=weights).rows if r.level == "south")
    assert (south.training_people, south.training_share, south.state) == (3, pytest.approx(0.5), "rare")
