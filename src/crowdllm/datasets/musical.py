"""Half of the Amazon Musical Instruments reviews of 2014: 5,050 star ratings of 392 products by 1,381 people.

A stand-in for schema and review-text work: there are no product descriptions and no profiles.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.datasets.card import DatasetCard
from crowdllm.datasets.download import SourceFile, fetch_file, github
from crowdllm.datasets.tables import read_text_table, require_columns, running_ids, scale_cells
from crowdllm.errors import Finding, StudyError
from crowdllm.responses.ordinal import Ordinal

# Only a copy without reviewer names was at hand to compute a checksum from, so the source's is not known.
REVIEWS = SourceFile(
    "amazon_musical_2014/reviews.csv",
    github(
        "ShubhamGupta505/hadoop",
        "f814e5c9bb9d9b5c0fefab10f1d912469c68e97b",
        "Musical_instruments_reviews.csv",
    ),
)
SOURCE_COLUMNS = (
    "reviewerID",
    "asin",
    "reviewerName",
    "helpful",
    "reviewText",
    "overall",
    "summary",
    "unixReviewTime",
    "reviewTime",
)
CARD = DatasetCard(
    name="musical",
    description="Star ratings 1-5 of 392 musical instrument products by 1,381 reviewers (Amazon 2014)",
    url="https://github.com/ShubhamGupta505/hadoop, Musical_instruments_reviews.csv",
    licence="none stated in the repository; the reviews were collected by J. McAuley (UCSD) for research",
    participants=1381,
    problems=392,
    responses=5050,
    notes=(
        "No product description: a problem's text is its product id, so nothing carries over to unseen products.",
        "Review texts are not in the study; musical_review_texts() gives them. They were written with the "
        "very rating they go with, so a text used as the profile for that rating leaks the answer.",
        "68 % of the ratings are 5.",
        "The file's checksum is not known (only a changed copy was at hand): its columns and ratings are checked.",
    ),
    files=(REVIEWS,),
)
SCALE = Ordinal(("1", "2", "3", "4", "5"), ends=("very dissatisfied", "very satisfied"))


def load() -> Study:
    """The study; raises DataUnavailableError or StudyError."""
    return build(read_reviews(fetch_file(REVIEWS)))


def musical_review_texts() -> tuple[str, ...]:
    """(R,) the review that goes with each response of `load()`, in the same order.

    Reviewers may name themselves in a text, and a text tells the rating it goes with: keep it out of anything
    that predicts that rating.
    """
    reviews = read_reviews(fetch_file(REVIEWS))
    return tuple(reviews["reviewText"])


def read_reviews(path: Path) -> pd.DataFrame:
    """The reviews, all cells text, from the published file (no header) or a copy with a header."""
    with path.open(encoding="utf-8") as stream:
        has_header = stream.readline().startswith("reviewerID,")
    return read_text_table(path, names=None if has_header else SOURCE_COLUMNS)


def build(reviews: pd.DataFrame) -> Study:
    """The study, one response per review; raises StudyError for missing columns or ratings off 1..5."""
    require_columns(reviews, ["reviewerID", "asin", "overall"], REVIEWS.path)
    person, reviewers = pd.factorize(reviews["reviewerID"])
    problem, products = pd.factorize(reviews["asin"])
    ratings = scale_cells(reviews["overall"].to_numpy(dtype=object), SCALE)
    if ratings.blank or ratings.off_scale:
        message = f"{ratings.blank} blank ratings and {ratings.off_scale} off the scale"
        raise StudyError([Finding("error", message, file=REVIEWS.path, column="overall", allowed=SCALE.allowed())])
    again = int(reviews.duplicated(["reviewerID", "asin"]).sum())
    return Study(
        title="Musical instrument ratings (Amazon 2014)",
        response_type=SCALE,
        problems=Problems(
            np.asarray(products, dtype=object),
            ("Musical instrument product " + pd.Series(products)).to_numpy(dtype=object),
        ),
        profiles=Profiles((), running_ids(len(reviewers)), np.zeros((len(reviewers), 0))),
        responses=Responses(person.astype(np.int64), problem.astype(np.int64), ratings.positions[:, None]),
        context="Reviews of products bought online.",
        requirements="How satisfied are you with this product?",
        source=(
            *CARD.source_lines(),
            "Reviewer ids are replaced by running numbers in order of appearance; names and texts are left out.",
            "Problem ids are product ids (asin); there is no description.",
            f"Reviews of a product by someone who had reviewed it before: {again}.",
        ),
    )
