"""The Amazon 2023 loaders on hand-written files of the published schema."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from crowdllm.datasets import load_dataset
from crowdllm.datasets.amazon import amazon_review_texts
from crowdllm.errors import ConfigError, DataUnavailableError, StudyError


def review(user: str, product: str, rating: float, time: int = 1, text: str = "") -> dict[str, object]:
    return {
        "rating": rating,
        "title": "T",
        "text": text or f"{user} on {product}",
        "images": [],
        "asin": product + "v",
        "parent_asin": product,
        "user_id": user,
        "timestamp": time,
        "helpful_vote": 0,
        "verified_purchase": True,
    }


def item(product: str, **more: object) -> dict[str, object]:
    return {"main_category": "All Beauty", "title": f"Title {product}", "parent_asin": product} | more


def write(folder: Path, name: str, records: list[dict[str, object]], packed: bool = True) -> None:
    (folder / "amazon_2023").mkdir(exist_ok=True)
    body = "".join(json.dumps(record) + "\n" for record in records).encode()
    path = folder / "amazon_2023" / f"{name}.jsonl"
    if packed:
        path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(body))
    else:
        path.write_bytes(body)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROWDLLM_DATA_DIR", str(tmp_path))
    return tmp_path


def crowd(product: str, count: int, rating: float = 5.0) -> list[dict[str, object]]:
    return [review(f"USER{product}{i}", product, rating) for i in range(count)]


@pytest.mark.parametrize("packed", [True, False])
def test_beauty_keeps_products_with_20_to_30_distinct_reviewers(folder: Path, packed: bool) -> None:
    sizes = {"A19": 19, "B20": 20, "C30": 30, "D31": 31}
    write(folder, "All_Beauty", [r for name, n in sizes.items() for r in crowd(name, n)], packed)
    write(folder, "meta_All_Beauty", [item(name) for name in sizes], packed)
    study = load_dataset("amazon_beauty")
    assert study.problems.ids.tolist() == ["B20", "C30"]
    assert study.describe() == "N=50 T=2 R=50"


def test_music_keeps_products_with_exactly_20_distinct_reviewers(folder: Path) -> None:
    sizes = {"A19": 19, "B20": 20, "C21": 21}
    write(folder, "Musical_Instruments", [r for name, n in sizes.items() for r in crowd(name, n)])
    write(folder, "meta_Musical_Instruments", [item(name) for name in sizes])
    study = load_dataset("amazon_music")
    assert study.problems.ids.tolist() == ["B20"]
    assert study.describe() == "N=20 T=1 R=20"


def test_a_later_review_replaces_an_earlier_one_and_counts_once(folder: Path) -> None:
    records = [review("U1", "P", 1, time=5), review("U2", "P", 3, time=1), review("U1", "P", 4, time=9)]
    records.append(review("U2", "P", 2, time=0))
    write(folder, "All_Beauty", records)
    write(folder, "meta_All_Beauty", [item("P")])
    study = load_dataset("amazon_beauty", min_reviewers=2, max_reviewers=2)
    assert study.responses.values_RD.tolist() == [
        [2.0],
        [3.0],
    ]  # U2's 3 stars and U1's 4 stars, in file order
    assert study.responses.participant_R.tolist() == [0, 1]
    assert any("2 reviews replaced" in line for line in study.source)


def test_ratings_that_are_no_stars_are_left_out_and_counted(folder: Path) -> None:
    write(folder, "All_Beauty", [review("U1", "P", 0), review("U2", "P", 3.5), review("U3", "P", 2)])
    write(folder, "meta_All_Beauty", [item("P")])
    study = load_dataset("amazon_beauty", min_reviewers=1, max_reviewers=1)
    assert study.responses.values_RD.tolist() == [[1.0]]
    assert any("2 ratings that are no 1..5" in line for line in study.source)


def test_text_is_title_features_and_description_or_the_id(folder: Path) -> None:
    write(folder, "All_Beauty", [review("U1", "P", 5), review("U1", "Q", 5), review("U1", "R", 5)])
    items = [item("P", features=["f1", "f2"], description=["d"]), item("Q", title=None, description=[])]
    write(folder, "meta_All_Beauty", items)
    study = load_dataset("amazon_beauty", min_reviewers=1, max_reviewers=1)
    assert study.problems.texts.tolist() == ["Title P\nf1\nf2\nd", "Product Q", "Product R"]
    assert any("1 products have no item record" in line for line in study.source)


def test_review_texts_stand_in_the_order_of_the_responses(folder: Path) -> None:
    records = [
        review("U1", "X", 1, text="left out"),
        review("U2", "P", 5, text="b"),
        review("U1", "P", 1, text="a"),
    ]
    records.append(review("U2", "P", 4, time=2, text="later"))
    write(folder, "All_Beauty", records)
    write(folder, "meta_All_Beauty", [item("P")])
    study = load_dataset("amazon_beauty", min_reviewers=2, max_reviewers=2)
    assert study.responses.values_RD.tolist() == [[0.0], [3.0]]
    assert amazon_review_texts("amazon_beauty", 2, 2) == ("T\na", "T\nlater")


def test_no_reviewer_id_or_review_text_enters_the_study(folder: Path) -> None:
    write(folder, "All_Beauty", [review("AMADEUPREVIEWERNAME000000001", "P", 5, text="my name is Ann")])
    write(folder, "meta_All_Beauty", [item("P")])
    study = load_dataset("amazon_beauty", min_reviewers=1, max_reviewers=1)
    everything = repr((study.problems, study.profiles, study.source, study.title, study.context))
    assert "AMADEUPREVIEWERNAME000000001" not in everything
    assert "Ann" not in everything


def test_a_line_that_is_no_review_is_named(folder: Path) -> None:
    broken = {k: v for k, v in review("U1", "P", 5).items() if k != "rating"}
    write(folder, "All_Beauty", [review("U1", "P", 5), broken])
    with pytest.raises(StudyError, match=r"All_Beauty\.jsonl\.gz, row 2.*'rating'"):
        load_dataset("amazon_beauty")


def test_a_line_that_is_not_json_is_named(folder: Path) -> None:
    write(folder, "All_Beauty", [], packed=False)
    (folder / "amazon_2023" / "All_Beauty.jsonl").write_text('\n{"rating": 5,\n')
    with pytest.raises(StudyError, match=r"All_Beauty\.jsonl, row 2.*not JSON"):
        load_dataset("amazon_beauty")


def test_no_product_within_the_bounds_says_so(folder: Path) -> None:
    write(folder, "All_Beauty", crowd("P", 3))
    with pytest.raises(StudyError, match="no product has 20 to 30 distinct reviewers"):
        load_dataset("amazon_beauty")


def test_bounds_the_wrong_way_round_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="1 <= 5 <= 3"):
        load_dataset("amazon_beauty", min_reviewers=5, max_reviewers=3)


def test_a_missing_file_is_named_with_its_address(folder: Path) -> None:
    with pytest.raises(DataUnavailableError, match=r"All_Beauty\.jsonl\.gz.*mcauleylab"):
        load_dataset("amazon_beauty")
