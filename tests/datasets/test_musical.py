"""The 2014 instrument reviews, from a copy with a header and from the published layout without one."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from crowdllm.datasets import load_dataset
from crowdllm.datasets.musical import build, musical_review_texts, read_reviews
from crowdllm.errors import StudyError

PUBLISHED = (
    'AZZZ,B001,"Ann ""x""","[0, 0]","Good, solid.",5,good,1393545600,"02 28, 2014"\n'
    'AYYY,B001,Bob,"[1, 2]",Bad.,1,bad,1393545600,"02 28, 2014"\n'
    'AZZZ,B002,"Ann ""x""","[0, 0]",Fine.,4,ok,1393545600,"02 28, 2014"\n'
)
COPY = (
    "reviewerID,asin,helpful,reviewText,overall,summary,unixReviewTime,reviewTime\n"
    'AZZZ,B001,"[0, 0]","Good, solid.",5,good,1393545600,"02 28, 2014"\n'
    'AYYY,B001,"[1, 2]",Bad.,1,bad,1393545600,"02 28, 2014"\n'
    'AZZZ,B002,"[0, 0]",Fine.,4,ok,1393545600,"02 28, 2014"\n'
)


@pytest.mark.parametrize("layout", [PUBLISHED, COPY])
def test_both_layouts_give_the_same_study(tmp_path: Path, layout: str) -> None:
    (tmp_path / "r.csv").write_text(layout, encoding="utf-8")
    study = build(read_reviews(tmp_path / "r.csv"))
    assert study.profiles.ids.tolist() == ["p1", "p2"]
    assert study.problems.ids.tolist() == ["B001", "B002"]
    assert study.problems.texts[0] == "Musical instrument product B001"
    assert study.responses.participant_R.tolist() == [0, 1, 0]
    assert study.responses.problem_R.tolist() == [0, 0, 1]
    assert study.responses.values_RD.tolist() == [[4.0], [0.0], [3.0]]


def test_a_rating_off_the_scale_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(COPY.replace("Bad.,1,", "Bad.,0,"), encoding="utf-8")
    with pytest.raises(StudyError, match="1 off the scale"):
        build(read_reviews(tmp_path / "r.csv"))


def test_published_reviews_and_texts_stand_in_one_order(published) -> None:
    with published("amazon_musical_2014/reviews.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    study, texts = load_dataset("musical"), musical_review_texts()
    assert study.describe() == "N=1381 T=392 R=5050"
    assert [row["asin"] for row in rows] == study.problems.ids[study.responses.problem_R].tolist()
    assert [float(row["overall"]) for row in rows] == (study.responses.values_RD[:, 0] + 1).tolist()
    assert [row["reviewText"] for row in rows] == list(texts)
