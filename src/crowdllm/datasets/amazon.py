"""Amazon Reviews 2023: star ratings of products, filtered by their number of distinct reviewers.

The paper's Case Study II. amazon_beauty: All_Beauty products with 20-30 distinct reviewers; amazon_music:
Musical_Instruments products with exactly 20. Read from the published JSON lines, one record a line:

- reviews: `rating`, `user_id`, `parent_asin` (and `timestamp`, `title`, `text`, ...);
- items: `parent_asin`, `title`, `features`, `description` (and more).

Hou et al. 2024, https://amazon-reviews-2023.github.io. The files are large (Musical_Instruments: about 3
million reviews) and are read line by line; only what the filter keeps is held as text.
"""

from __future__ import annotations

import gzip
import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.datasets.card import DatasetCard
from crowdllm.datasets.download import SourceFile, fetch_file
from crowdllm.datasets.tables import running_ids
from crowdllm.errors import ConfigError, Finding, StudyError, UnknownNameError
from crowdllm.responses.ordinal import Ordinal

BASE = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023/raw"
SCALE = Ordinal(("1", "2", "3", "4", "5"), ends=("very dissatisfied", "very satisfied"))
OPTIONS = {
    "min_reviewers": "keep products with at least so many distinct reviewers",
    "max_reviewers": "keep products with at most so many distinct reviewers",
}
NOTES = (
    "Split by problem, as the paper does. There are no profiles: nearly every reviewer has one review.",
    "Review texts are not in the study; amazon_review_texts() gives them. They were written with the very "
    "rating they go with, so a text used as the profile for that rating (as the paper does) leaks the "
    "answer.",
    "Checksums are not known, and no count of these loaders was checked against the published files.",
)


@dataclass(frozen=True)
class Category:
    """One product category: its files and the paper's filter."""

    reviews: SourceFile
    items: SourceFile
    min_reviewers: int
    max_reviewers: int


def _category(name: str, least: int, most: int) -> Category:
    return Category(
        SourceFile(f"amazon_2023/{name}.jsonl.gz", f"{BASE}/review_categories/{name}.jsonl.gz"),
        SourceFile(f"amazon_2023/meta_{name}.jsonl.gz", f"{BASE}/meta_categories/meta_{name}.jsonl.gz"),
        least,
        most,
    )


CATEGORIES = {
    "amazon_beauty": _category("All_Beauty", 20, 30),
    "amazon_music": _category("Musical_Instruments", 20, 20),
}
LICENCE = "none stated on the data set's page; cite Hou et al. (2024), arXiv 2403.03952"
CARD_BEAUTY = DatasetCard(
    name="amazon_beauty",
    description="Star ratings of 448 beauty products with 20-30 distinct reviewers (Amazon Reviews 2023)",
    url="https://amazon-reviews-2023.github.io, category All_Beauty",
    licence=LICENCE,
    participants=10957,
    problems=448,
    responses=11154,
    options={k: f"{v}, default {n}" for (k, v), n in zip(OPTIONS.items(), (20, 30), strict=True)},
    notes=NOTES,
    files=(CATEGORIES["amazon_beauty"].reviews, CATEGORIES["amazon_beauty"].items),
)
CARD_MUSIC = DatasetCard(
    name="amazon_music",
    description="Star ratings of 629 musical instrument products with exactly 20 reviewers (Amazon Reviews 2023)",
    url="https://amazon-reviews-2023.github.io, category Musical_Instruments",
    licence=LICENCE,
    participants=12396,
    problems=629,
    responses=12580,
    options={k: f"{v}, default {n}" for (k, v), n in zip(OPTIONS.items(), (20, 20), strict=True)},
    notes=NOTES,
    files=(CATEGORIES["amazon_music"].reviews, CATEGORIES["amazon_music"].items),
)


@dataclass(frozen=True)
class Kept:
    """The reviews that the filter keeps: one per reviewer and product.

    frame: columns line (0-based line of the file), product, user, rating, in file order.
    off_scale, repeated: reviews left out because their rating is no 1..5, or a later one replaces them.
    """

    frame: pd.DataFrame
    off_scale: int
    repeated: int


def load_beauty(min_reviewers: int = 20, max_reviewers: int = 30) -> Study:
    """All_Beauty; raises ConfigError, DataUnavailableError or StudyError."""
    return _load("amazon_beauty", min_reviewers, max_reviewers)


def load_music(min_reviewers: int = 20, max_reviewers: int = 20) -> Study:
    """Musical_Instruments; raises ConfigError, DataUnavailableError or StudyError."""
    return _load("amazon_music", min_reviewers, max_reviewers)


def amazon_review_texts(
    name: str, min_reviewers: int | None = None, max_reviewers: int | None = None
) -> tuple[str, ...]:
    """(R,) title and text of the review that goes with each response of the study, in the same order.

    A text tells the rating it goes with, and reviewers may name themselves in it: keep it out of anything
    that predicts that rating.
    """
    if name not in CATEGORIES:
        raise UnknownNameError("Amazon data set", name, CATEGORIES)
    category = CATEGORIES[name]
    path = fetch_file(category.reviews)
    kept = read_reviews(
        path,
        category.min_reviewers if min_reviewers is None else min_reviewers,
        category.max_reviewers if max_reviewers is None else max_reviewers,
    )
    wanted = set(kept.frame["line"])
    texts = {
        line: f"{record.get('title') or ''}\n{record.get('text') or ''}".strip()
        for line, record in _records(path)
        if line in wanted
    }
    return tuple(texts[line] for line in kept.frame["line"])


def _load(name: str, min_reviewers: int, max_reviewers: int) -> Study:
    if not 1 <= min_reviewers <= max_reviewers:
        raise ConfigError(f"the reviewers of a product must be 1 <= {min_reviewers} <= {max_reviewers}")
    category = CATEGORIES[name]
    kept = read_reviews(fetch_file(category.reviews), min_reviewers, max_reviewers)
    person, users = pd.factorize(kept.frame["user"])
    problem, products = pd.factorize(kept.frame["product"])
    items = read_items(fetch_file(category.items), set(products))
    missing = [p for p in products if p not in items]
    texts = [items.get(p, f"Product {p}") for p in products]
    card = CARD_BEAUTY if name == "amazon_beauty" else CARD_MUSIC
    return Study(
        title=f"Product ratings ({name})",
        response_type=SCALE,
        problems=Problems(np.asarray(products, dtype=object), np.array(texts, dtype=object)),
        profiles=Profiles((), running_ids(len(users)), np.zeros((len(users), 0))),
        responses=Responses(
            person.astype(np.int64),
            problem.astype(np.int64),
            kept.frame[["rating"]].to_numpy(dtype=float) - 1,
        ),
        context="Reviews of products bought online.",
        requirements="How satisfied are you with this product?",
        source=(
            *card.source_lines(),
            f"Products (parent_asin) with {min_reviewers} to {max_reviewers} distinct reviewers.",
            f"Left out before counting: {kept.off_scale} ratings that are no 1..5, {kept.repeated} reviews "
            "replaced by a later one of the same reviewer and product.",
            f"Texts: title, features and description of the product; {len(missing)} products have no item "
            "record and only their id as text.",
            "Reviewer ids are replaced by running numbers in order of appearance; review texts are left out.",
        ),
    )


def read_reviews(path: Path, min_reviewers: int, max_reviewers: int) -> Kept:
    """The latest review of each reviewer and product, for products within the bounds on distinct reviewers.

    Raises StudyError for a line that is no review, or when no product is left.
    """
    lines, people, products = array("q"), array("q"), array("q")
    ratings, times = array("d"), array("d")
    person_of: dict[str, int] = {}
    product_of: dict[str, int] = {}
    for line, record in _records(path):
        try:
            product, user, rating = record["parent_asin"], record["user_id"], float(record["rating"])
            time = float(record.get("timestamp") or 0)
            if not (isinstance(product, str) and isinstance(user, str)):
                raise TypeError("parent_asin and user_id must be text")
        except (KeyError, TypeError, ValueError) as error:
            message = f"not a review ({type(error).__name__}: {error})"
            fields = "rating, user_id, parent_asin"
            raise StudyError([Finding("error", message, path.name, line + 1, allowed=fields)]) from error
        lines.append(line)
        ratings.append(rating)
        times.append(time)
        people.append(person_of.setdefault(user, len(person_of)))
        products.append(product_of.setdefault(product, len(product_of)))
    columns = {"line": lines, "product": products, "user": people, "rating": ratings, "time": times}
    reviews = pd.DataFrame({name: np.asarray(values) for name, values in columns.items()})
    legal = reviews[reviews["rating"].isin([1.0, 2.0, 3.0, 4.0, 5.0])]
    latest = legal.sort_values("time", kind="stable").drop_duplicates(["user", "product"], keep="last").sort_index()
    reviewers = latest.groupby("product")["user"].transform("size")
    kept = latest[reviewers.between(min_reviewers, max_reviewers)]
    if kept.empty:
        message = f"no product has {min_reviewers} to {max_reviewers} distinct reviewers"
        raise StudyError([Finding("error", message, file=path.name)])
    names = np.array(list(product_of), dtype=object)
    frame = kept.assign(product=names[kept["product"].to_numpy()]).drop(columns="time").reset_index(drop=True)
    return Kept(frame, len(reviews) - len(legal), len(legal) - len(latest))


def read_items(path: Path, wanted: set[str]) -> dict[str, str]:
    """Product id -> title, features and description; raises StudyError for a line that is no item."""
    items: dict[str, str] = {}
    for line, record in _records(path):
        product = record.get("parent_asin")
        if product is None:
            raise StudyError([Finding("error", "not an item", path.name, line + 1, allowed="parent_asin, title, ...")])
        if product in wanted:
            parts = [
                record.get("title"),
                *_strings(record.get("features")),
                *_strings(record.get("description")),
            ]
            items[str(product)] = "\n".join(str(p) for p in parts if p) or f"Product {product}"
    return items


def _strings(value: object) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else [str(value)] if value else []


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 0, object) for each line that is not blank."""
    with path.open("rb") as probe:
        packed = probe.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rt", encoding="utf-8") if packed else path.open(encoding="utf-8") as stream:
        for line, text in enumerate(stream):
            if not text.strip():
                continue
            try:
                record = json.loads(text)
            except ValueError as error:
                raise StudyError([Finding("error", f"not JSON: {error}", path.name, line + 1)]) from error
            if not isinstance(record, dict):
                raise StudyError([Finding("error", "not a JSON object", path.name, line + 1)])
            yield line, record
