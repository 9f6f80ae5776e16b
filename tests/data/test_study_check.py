"""The check's numbers: coverage, responses per problem and person, levels, histograms, groups of findings."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.study import Study
from crowdllm.data.study_check import (
    ColumnSummary,
    check_study,
    coverage,
    finding_lines,
    group_findings,
    profile_summary,
    response_histogram,
    responses_per_participant,
    responses_per_problem,
)
from crowdllm.data.study_folder import study_from_frames
from crowdllm.errors import Finding

Make = Callable[..., Path]


def asked(cells: list[tuple[str, str, str]], response: dict[str, object], options: list[str] | None = None) -> Study:
    problems = pd.DataFrame({"problem": ["q1", "q2"], "text": ["a", "b"]})
    if options:
        problems["options"] = options
    rows = pd.DataFrame(cells, columns=["participant", "problem", "response"])
    return study_from_frames(problems, rows, None, response)


def test_coverage_and_counts_of_the_small_study(make_study: Make) -> None:
    report = check_study(make_study())
    assert report.usable
    assert report.study is not None
    assert coverage(report.study) == pytest.approx(5 / 9)
    assert responses_per_problem(report.study).tolist() == [3, 2, 0]
    assert responses_per_participant(report.study).tolist() == [2, 2, 1]
    assert report.columns["responses.csv"] == {r: r for r in ("participant", "problem", "response")}


def test_profile_levels_are_counted_with_what_is_missing(make_study: Make) -> None:
    report = check_study(make_study(participants="participant,age,party\nann,,red\nbob,44,\ncho,50,red\n"))
    assert report.study is not None
    assert profile_summary(report.study.profiles) == [
        ColumnSummary("age", "numeric", 1, min_median_max=(44, 47, 50)),
        ColumnSummary("party", "categorical", 1, levels=(("red", 2),)),
    ]


def test_ordinal_levels_are_counted_in_order(make_study: Make) -> None:
    report = check_study(make_study())
    assert report.study is not None
    assert response_histogram(report.study) == ("responses", [("1", 2), ("2", 2), ("3", 1)])


def test_continuous_responses_are_counted_in_ten_ranges() -> None:
    made = asked([(f"p{i}", "q1", str(i)) for i in range(11)], {"type": "continuous"})
    what, counts = response_histogram(made)
    assert what == "responses"
    assert [count for _, count in counts] == [1] * 9 + [2]  # the last range holds both its ends
    assert (counts[0][0], counts[9][0]) == ("0 to 1", "9 to 10")


@pytest.mark.parametrize("numbers", [["4"], ["4", "4"], ["1", "1.0000000000000002"]])
def test_numbers_too_close_for_ranges_are_one_bar(numbers: list[str]) -> None:
    made = asked([(f"p{i}", "q1", n) for i, n in enumerate(numbers)], {"type": "continuous"})
    assert [count for _, count in response_histogram(made)[1]] == [len(numbers)]


def test_picks_are_added_up_by_option_text_over_problems_with_other_options() -> None:
    made = asked(
        [("ann", "q1", "x"), ("bob", "q1", "y"), ("ann", "q2", "x"), ("bob", "q2", "z")],
        {"type": "choice"},
        ["x|y", "z|x|w"],
    )
    what, counts = response_histogram(made)
    assert what == "picks"
    assert (counts[0], counts[3]) == (("x", 2), ("w", 0))
    assert sorted(counts[1:3]) == [("y", 1), ("z", 1)]


def test_ballots_points_and_rankings_are_added_up() -> None:
    options = ["a", "b", "c"]
    ballot = asked(
        [("ann", "q1", "a|b"), ("bob", "q2", "b|c")],
        {"type": "ballot", "min_picks": 2, "max_picks": 2, "options": options},
    )
    assert response_histogram(ballot) == ("picks", [("b", 2), ("a", 1), ("c", 1)])
    points = asked(
        [("ann", "q1", "a=4|c=6"), ("bob", "q1", "c=10")],
        {"type": "points", "budget": 10, "options": options},
    )
    assert response_histogram(points) == ("points", [("c", 16), ("a", 4), ("b", 0)])
    ranking = asked([("ann", "q1", "c|b|a"), ("bob", "q1", "c|a|b")], {"type": "ranking", "options": options})
    assert response_histogram(ranking) == ("first ranks", [("c", 2), ("a", 0), ("b", 0)])


def test_a_study_with_errors_shows_the_faultless_rows_and_is_not_usable(make_study: Make) -> None:
    rows = "participant,problem,response\nann,q1,1\nann,q1,2\nann,q9,1\nzoe,q1,1\nbob,q1,9\nbob,q2,3\n"
    report = check_study(make_study(responses=rows))
    assert not report.usable
    assert report.study is not None
    assert report.study.responses.values_RD.tolist() == [[0], [2]]
    assert len(report.of("error")) == 4


def test_a_study_without_a_scale_is_not_usable_and_says_why(make_study: Make) -> None:
    report = check_study(make_study(toml='title = "x"\n'))
    assert (report.usable, report.study) == (False, None)
    assert [f.file for f in report.of("error")] == ["study.toml"]


def test_findings_are_grouped_by_sort_with_the_first_five_shown() -> None:
    many = [Finding("error", f"the same id as in row {i}", "a.csv", i, "c", f"v{i}") for i in range(1239)]
    other = Finding("error", "not on the scale", "a.csv", 3, "c", "9")
    elsewhere = Finding("error", "not on the scale", "b.csv", 3, "c", "9")
    groups = group_findings([*many[:700], other, *many[700:], elsewhere])
    assert [(len(g.shown), g.more) for g in groups] == [(5, 1234), (1, 0), (1, 0)]
    lines = finding_lines(many)
    assert len(lines) == 6
    assert lines[5] == "… and 1,234 more of this sort"


def test_an_empty_study_has_no_coverage() -> None:
    made = asked([], {"type": "continuous"})
    assert np.isnan(coverage(made))
    assert response_histogram(made) == ("responses", [])
