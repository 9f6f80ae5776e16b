"""`crowdllm reproduce`: mistyped names, data that are not there, the Amazon data sets by both protocols, Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.experiments.reproduce import amazon

Run = Callable[..., Any]
WORDS = ("awful broken waste", "poor weak", "okay average", "good nice", "perfect love")
PRODUCTS = 15


@pytest.fixture
def amazon_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small files of the published form: ratings that the product's text and the review's text tell in part."""
    folder = tmp_path / "data" / "amazon_2023"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    reviews, items = [], []
    for p in range(PRODUCTS):
        kind = p % 5
        items.append({"parent_asin": f"P{p}", "title": f"{('soap', 'mask', 'brush', 'cream', 'oil')[kind]} {p}"})
        for u in range(20):
            level = int(np.clip(round(1 + kind * 0.7 + rng.normal()), 0, 4))
            text = f"{WORDS[level]} {rng.choice(['today', 'gift', 'week'])} <script>alert(1)</script>"
            reviews.append(
                {"rating": level + 1, "title": "", "text": text, "parent_asin": f"P{p}", "user_id": f"SECRET{p}-{u}"}
            )
    for name in ("All_Beauty", "Musical_Instruments"):
        for prefix, records in (("", reviews), ("meta_", items)):
            (folder / f"{prefix}{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    monkeypatch.setenv("CROWDLLM_DATA_DIR", str(folder.parent))
    return folder.parent


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that take no time."""
    monkeypatch.setattr(amazon, "UNSEEN", ("random", "pooled", "tfidf-ridge", "embedding-references-ridge"))
    monkeypatch.setattr(amazon, "CROWD", ("random", "pooled"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("votin",), "unknown data set to reproduce 'votin'"),
        (("votin",), "did you mean 'voting'"),
        (("beps",), "choose from offensiveness, voting, bfi, ev_attitudes, amazon_beauty, amazon_music"),
        (("voting", "--seeds", "0"), "--seeds"),
        (("voting", "--workers", "0"), "--workers"),
        (("voting", "--sedes", "3"), "--seeds"),
    ],
)
def test_whatever_is_mistyped_is_one_line(refused: Run, tmp_path: Path, words: tuple[str, ...], expected: str) -> None:
    assert expected in refused("reproduce", *words, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_reference_source_that_is_not_there_is_named_before_anything_is_written(
    refused: Run, amazon_files: Path, tmp_path: Path
) -> None:
    line = refused("reproduce", "amazon_beauty", "--references", "gpt5", "--out", tmp_path / "out")
    assert "unknown reference source 'gpt5'" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["amazon_beauty", "amazon_music"])
@pytest.mark.parametrize("mirror", [True, False])
def test_absent_amazon_files_are_one_error_that_says_how_to_get_them(
    refused: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, mirror: bool
) -> None:
    monkeypatch.setattr("crowdllm.datasets.download.cache_dir", lambda: tmp_path / "cache")
    monkeypatch.delenv("CROWDLLM_DATA_DIR", raising=False)
    if mirror:
        monkeypatch.setenv("CROWDLLM_DATA_DIR", str(tmp_path / "mirror"))
    line = refused("reproduce", name, "--out", tmp_path / "out")
    category = {"amazon_beauty": "All_Beauty", "amazon_music": "Musical_Instruments"}[name]
    assert f"{name} needs 2 files that are not here" in line
    for file in (f"{category}.jsonl.gz", f"meta_{category}.jsonl.gz"):
        assert f"/{file} as amazon_2023/{file}" in line
    assert "CROWDLLM_DATA_DIR" in line or str(tmp_path / "mirror") in line
    assert not (tmp_path / "out").exists()


def test_only_the_file_that_is_missing_is_asked_for(refused: Run, amazon_files: Path, tmp_path: Path) -> None:
    (amazon_files / "amazon_2023" / "meta_All_Beauty.jsonl").unlink()
    line = refused("reproduce", "amazon_beauty", "--out", tmp_path / "out")
    assert "needs 1 file that" in line
    assert "as amazon_2023/meta_All_Beauty.jsonl.gz" in line
    assert "as amazon_2023/All_Beauty" not in line


@pytest.mark.parametrize("name", ["amazon_beauty", "amazon_music"])
def test_amazon_is_done_by_the_paper_s_protocol_and_an_honest_one(
    crowdllm: Run, amazon_files: Path, few_rows: None, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    done = crowdllm("reproduce", name, "--quick", "--seeds", 2, "--workers", 1, "--out", out)
    assert done.status == 0
    table = pd.read_csv(out / "metrics.csv", keep_default_na=False)
    reviews, honest = (table[table["run"] == run] for run in ("reviews", "problem"))
    assert set(reviews["method"]) == {"review-text-ridge", "random", "pooled"}
    assert set(honest["method"]) == {"random", "pooled", "tfidf-ridge", "human-floor"}
    assert set(honest["crowd_size"]) == {0, 20, 1000}
    assert set(reviews["crowd_size"]) == {0}
    told = reviews[reviews["metric"] == "text_r2"]["value"].astype(float)
    assert (told > 0.5).all()
    page = (out / "index.md").read_text(encoding="utf-8")
    assert "This leaks" in page
    table_number = "Table 3" if name == "amazon_beauty" else "Table 4"
    assert f"As printed in the paper (arXiv 2512.07890, {table_number})" in page
    html = (out / "index.html").read_text(encoding="utf-8")
    for text in (page, html, (out / "metrics.csv").read_text()):
        assert "SECRET" not in text
        assert "<script" not in text
    again = crowdllm("reproduce", name, "--quick", "--seeds", 2, "--workers", 1, "--out", out)
    assert again.status == 0
    assert not [line for line in again.err.splitlines() if line.startswith("[")]  # nothing left to do
    assert (out / "index.html").read_text(encoding="utf-8") == html


def test_a_folder_that_has_the_name_of_the_data_set_is_not_taken_for_it(
    crowdllm: Run, amazon_files: Path, few_rows: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("reproduce", "amazon_beauty", "--seeds", 1, "--workers", 1, "--out", "amazon_beauty")
    assert crowdllm(*words).status == 0
    assert crowdllm(*words).status == 0


def test_the_command_that_continues_is_on_the_page(
    crowdllm: Run, amazon_files: Path, few_rows: None, tmp_path: Path
) -> None:
    out = tmp_path / "a folder"
    crowdllm("reproduce", "amazon_beauty", "--seeds", 1, "--workers", 1, "--references", "none", "--out", out)
    page = (out / "index.md").read_text(encoding="utf-8")
    assert f"    crowdllm reproduce amazon_beauty --out '{out}' --seeds 1 --references none" in page


def test_recorded_answers_of_one_s_own_bring_the_rows_with_an_llm(
    crowdllm: Run, amazon_files: Path, few_rows: None, tmp_path: Path
) -> None:
    recorded = tmp_path / "mine.csv"
    rows = "".join(f"P{p},{1 + p % 5}\n" for p in range(PRODUCTS))
    recorded.write_text("problem,decision\n" + rows)
    out = tmp_path / "out"
    done = crowdllm("reproduce", "amazon_beauty", "--seeds", 1, "--workers", 1, "--references", recorded, "--out", out)
    assert done.status == 0
    table = pd.read_csv(out / "metrics.csv", keep_default_na=False)
    ridge = table[table["method"] == "embedding-references-ridge"]
    assert set(ridge["references"]) == {"mine"}
    assert set(table[table["method"] == "pooled"]["references"]) == {"mine"}
    assert "embedding-references-ridge \\[mine\\]" in (out / "index.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to another process there")
def test_after_ctrl_c_the_same_command_goes_on(amazon_files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = "from crowdllm.cli import main\nif __name__ == '__main__':\n    main()\n"
    script = tmp_path / "start.py"
    script.write_text(code)
    words = ["reproduce", "amazon_beauty", "--quick", "--seeds", "1", "--workers", "2", "--out", str(out)]
    command = [sys.executable, str(script), *words]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(list(out.rglob("parts/*.csv"))) < 3 and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "Traceback" not in errors
    assert errors.endswith("crowdllm: stopped; the same command continues where it can\n")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("parts/*.csv")}
    assert len(before) >= 3
    again = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (out / "index.html").is_file()
