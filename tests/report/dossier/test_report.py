"""Reports: the questions answered, whatever folders are given; foreign text stays text; nothing is fetched."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.study_folder import load_study
from crowdllm.errors import CrowdLLMError
from crowdllm.report.dossier import of_costs, printed
from crowdllm.report.dossier.answers import NEVER, QUESTIONS, Contribution, Explorer, Section
from crowdllm.report.dossier.document import MOST_BYTES, document
from crowdllm.report.dossier.found import find
from crowdllm.report.dossier.make import contribution_of, write_report
from crowdllm.report.dossier.of_people import people_section
from crowdllm.report.dossier.printed import print_pdf

HOSTILE = "</script><script>alert(1)</script>=cmd|' \u202e"
TOML = """title = "Buses"
requirements = "Agree?"
simulated = {simulated}
[response]
type = "ordinal"
levels = [1, 2, 3]
[profile.age]
kind = "categorical"
levels = ["young", "old"]
"""


def study_folder(folder: Path, people: int, simulated: bool) -> Path:
    """Everybody answers four problems; young people 1, old ones 3."""
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(TOML.format(simulated=str(simulated).lower()), encoding="utf-8")
    pd.DataFrame({"problem": list("abcd"), "text": [HOSTILE, "Night buses?", "Trams?", "Bikes?"]}).to_csv(
        folder / "problems.csv", index=False
    )
    ages = ["young" if i % 4 == 0 else "old" for i in range(people)]
    pd.DataFrame({"participant": [f"p{i}" for i in range(people)], "age": ages}).to_csv(
        folder / "participants.csv", index=False
    )
    rng = np.random.default_rng(people)
    rows = [
        {"participant": f"p{i}", "problem": t, "response": 2 if rng.random() < 0.3 else 1 if ages[i] == "young" else 3}
        for i in range(people)
        for t in "abcd"
    ]
    pd.DataFrame(rows).to_csv(folder / "responses.csv", index=False)
    return folder


@pytest.fixture
def humans(tmp_path: Path) -> Path:
    return study_folder(tmp_path / "humans", 40, simulated=False)


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    folder = study_folder(tmp_path / "crowd", 200, simulated=True)
    shares = {"a": (0.1, 0.2, 0.7), "b": (0.3, 0.3, 0.4), "c": (0.25, 0.3, 0.45), "d": (0.0, 0.0, 1.0)}
    rows = [
        {"problem": t, "responses": 200, "mean": 2.5} | {f"share_{m + 1}": s for m, s in enumerate(row)}
        for t, row in shares.items()
    ]
    pd.DataFrame(rows).to_csv(folder / "distributions.csv", index=False)
    about = {"participants": 200, "stored": 800, "model_hash": "abc123", "seed": 7, "crowdllm": "0"}
    (folder / "meta.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def results_folder(folder: Path, values: dict[str, tuple[float, ...]]) -> Path:
    folder.mkdir()
    rows = [
        {"dataset": "x", "split": "problem", "train_fraction": 1.0, "references": "gpt4", "method": method,
         "crowd_size": 100, "aggregator": "mean", "seed": seed, "metric": "mae", "value": value}
        for method, row in values.items() for seed, value in enumerate(row)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "metrics.csv", index=False)
    (folder / "comparison.json").write_text('{"study": "x"}', encoding="utf-8")
    return folder


def text_of(contributions: list[Contribution]) -> str:
    return document("Report", contributions, "crowdllm report")


def test_every_question_is_answered_or_the_command_that_would(humans: Path) -> None:
    page = text_of([of_costs.contribute(humans)])
    for question in QUESTIONS.values():
        assert question in page
    for command in ("crowdllm simulate", "crowdllm estimate", "crowdllm evaluate"):
        assert command in page
    assert NEVER[0] in page


def test_a_crowd_is_shown_beside_the_humans(crowd: Path, humans: Path) -> None:
    page = text_of([contribution_of(crowd, load_study(humans))])
    assert "200 simulated people answered 4 problems" in page
    data = json.loads(re.search(r'id="problems" type="application/json">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    assert [p["crowd"] for p in data if p["id"] == "d"] == [[0.0, 0.0, 100.0]]
    assert all(p["humans"] == 40 and sum(p["human"]) == pytest.approx(100, abs=0.2) for p in data)
    assert ">age: young</th><td>25.0%</td><td>25.0%</td>" in page
    assert "Coherence of people" in page
    assert "abc123" in page


def test_a_study_of_other_problems_is_said_to_tell_nothing(crowd: Path, humans: Path) -> None:
    for name in ("problems.csv", "responses.csv"):
        table = pd.read_csv(humans / name)
        table["problem"] = ["other " + t for t in table["problem"]]
        table.to_csv(humans / name, index=False)
    page = text_of([contribution_of(crowd, load_study(humans))])
    assert "nothing is compared with people" in page
    assert "agree best" not in page


def test_a_study_of_simulated_people_is_said_to_be_that(crowd: Path, humans: Path) -> None:
    assert "themselves simulated" not in text_of([contribution_of(crowd, load_study(humans))])
    settings = (humans / "study.toml").read_text().replace("simulated = false", "simulated = true")
    (humans / "study.toml").write_text(settings)
    assert "themselves simulated" in text_of([contribution_of(crowd, load_study(humans))])


def test_a_crowd_alone_is_shown_too(crowd: Path) -> None:
    page = text_of([contribution_of(crowd)])
    assert "most agreed, middling and most split" in page
    assert '"human":' not in page


def rows_of(page: str) -> list[str]:
    return re.findall(r">(age: [^<]*</th>.*?)</tr>", page)


def test_recruited_people_stand_beside_the_target_margins(crowd: Path, humans: Path) -> None:
    """By hand: a quarter of both is young; two fifths should be."""
    page = text_of([contribution_of(crowd, load_study(humans), {"age": {"young": 0.4, "old": 0.6}})])
    young, old = (re.findall(r"<td>([^<]*)</td>", row) for row in rows_of(page))
    assert young == ["25.0%", "25.0%", "40.0%", "-15.0%"]
    assert old == ["75.0%", "75.0%", "60.0%", "+15.0%"]


def test_margins_in_the_crowds_folder_are_found_without_a_study(crowd: Path) -> None:
    (crowd / "margins.toml").write_text("[age]\nyoung = 0.5\nold = 0.5\n", encoding="utf-8")
    page = text_of([contribution_of(crowd)])
    assert re.findall(r"<td>([^<]*)</td>", rows_of(page)[0]) == ["–", "25.0%", "50.0%", "-25.0%"]


def test_numeric_margins_are_shares_of_ranges(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(
        '[response]\ntype = "ordinal"\nlevels = [1, 2]\n[profile.age]\nkind = "numeric"\n'
    )
    ages = ["20", "30", "50", "", "70"]
    pd.DataFrame({"participant": list("abcde"), "age": ages}).to_csv(tmp_path / "participants.csv", index=False)
    (section,) = people_section(tmp_path, None, {"age": {"<40": 0.5, "40-60": 0.25, ">60": 0.25}})
    rows = [[cell.text for cell in row] for row in section.blocks[0].rows]  # type: ignore[union-attr]
    assert [row[2] for row in rows] == ["50.0%", "25.0%", "25.0%"]
    assert [row[4] for row in rows] == ["+0.0%", "+0.0%", "+0.0%"]


def test_survey_weights_stand_for_a_target(crowd: Path, humans: Path) -> None:
    """By hand: 10 young people of weight 3 and 30 old ones of weight 1 make one half each."""
    table = pd.read_csv(humans / "participants.csv")
    table["w"] = [3 if age == "young" else 1 for age in table["age"]]
    table.to_csv(humans / "participants.csv", index=False)
    (humans / "study.toml").write_text('weight = "w"\n' + (humans / "study.toml").read_text())
    page = text_of([contribution_of(crowd, load_study(humans))])
    assert re.findall(r"<td>([^<]*)</td>", rows_of(page)[0]) == ["25.0%", "25.0%", "50.0%", "-25.0%"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("age = 3\n", "must be a table"),
        ("[ages]\nyoung = 1.0\n", "age"),
        ("[age]\nyoung = 40\nold = 60\n", "divide them by 100"),
        ("[age]\nyung = 0.4\nold = 0.6\n", "young"),
        ("[age\n", "no valid TOML"),
    ],
)
def test_margins_that_do_not_fit_are_refused(crowd: Path, text: str, words: str) -> None:
    (crowd / "margins.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CrowdLLMError, match=words):
        contribution_of(crowd)


def test_foreign_text_ends_no_script_and_is_no_markup(crowd: Path, humans: Path) -> None:
    page = text_of([contribution_of(crowd, load_study(humans))])
    assert "<script>alert" not in page
    assert page.count("<script") == 2  # the search, and its data
    assert "\u202e" not in page


def test_nothing_is_fetched(crowd: Path) -> None:
    page = text_of([contribution_of(crowd)])
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert "default-src 'none'" in page


def test_data_of_a_chart_can_be_taken_and_hold_no_formula(crowd: Path) -> None:
    table = pd.read_csv(crowd / "distributions.csv")
    table.loc[0, "problem"] = "=1+1"
    table.to_csv(crowd / "distributions.csv", index=False)
    page = text_of([contribution_of(crowd)])
    found = re.findall(r'download="([^"]+)" href="data:text/csv;charset=utf-8;base64,([^"]+)"', page)
    cells = [row[0] for row in csv.reader(io.StringIO(base64.b64decode(found[0][1]).decode()))]
    assert found[0][0] == "distributions.csv"
    assert "'=1+1" in cells
    assert "=1+1" not in cells


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        ((0.30, 0.31, 0.32), "Better than the bare LLM (mae 0.310 against 0.700 of zero-shot, 3 splits"),
        ((0.90, 0.91, 0.92), "WORSE than the bare LLM"),
        ((0.60, 0.70, 0.80), "Not told apart from the bare LLM"),
    ],
)
def test_better_is_said_only_where_the_interval_says_so(tmp_path: Path, ours: tuple[float, ...], words: str) -> None:
    values = {"zero-shot": (0.7, 0.7, 0.7), "crowdllm": ours, "human-floor": (0.2, 0.2, 0.2)}
    page = text_of([contribution_of(results_folder(tmp_path / "r", values))])
    assert words in page
    assert "No comparison with ridge regression here." in page


def test_estimates_bring_their_tables_pictures_and_worth(tmp_path: Path) -> None:
    folder = tmp_path / "e"
    folder.mkdir()
    (folder / "meta.json").write_text('{"notes": ["a note"], "crowdllm": "0"}', encoding="utf-8")
    pd.DataFrame(
        {"problem": ["a", "b"], "estimand": "mean", "group": "", "interval": "rectified", "estimate": [1.0, 2.0],
         "low": [0.8, 1.6], "high": [1.2, 2.4]}
    ).to_csv(folder / "estimates.csv", index=False)  # fmt: skip
    worth = pd.DataFrame({"problem": ["(overall)"], "interval": ["rectified"], "humans": [40.0], "worth": [52.0]})
    worth.to_csv(folder / "worth.csv", index=False)
    (folder / "intervals.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"></svg>', encoding="utf-8")
    page = text_of([contribution_of(folder)])
    assert "±0.30 by the rectified interval (2 problems)" in page
    assert "as narrow as 52 human responses alone would: the crowd is worth 12 more" in page
    assert "a note" in page
    assert 'download="intervals.svg"' in page


def test_a_page_brings_its_tables_and_pictures(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "one.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"></svg>', encoding="utf-8")
    (tmp_path / "one.csv").write_text("x\n1\n", encoding="utf-8")
    (tmp_path / "index.html").write_text("", encoding="utf-8")
    (tmp_path / "index.md").write_text(
        "# A \\*study\\*\n\nWords.\n\n## What it shows\n\n- a line\n\n![seen](figures/one.svg)\n\n"
        "| m | n |\n|---|---:|\n"
        "| a | **1\\|2** |\n\n![](../../etc/passwd)\n",
        encoding="utf-8",
    )
    page = text_of([contribution_of(tmp_path)])
    assert "A *study*" in page
    assert '<td class="best">1|2</td>' in page
    assert 'download="one.csv"' in page
    assert "passwd" not in page


@pytest.mark.parametrize(("table", "found"), [("one", True), ("o", True), ("metrics", True), ("other", False)])
def test_a_picture_of_a_page_brings_the_table_it_was_drawn_from(tmp_path: Path, table: str, found: bool) -> None:
    (tmp_path / "one.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"></svg>', encoding="utf-8")
    (tmp_path / f"{table}.csv").write_text("x\n=1\n", encoding="utf-8")
    (tmp_path / "index.html").write_text("", encoding="utf-8")
    (tmp_path / "index.md").write_text("# A\n\n![seen](one.svg)\n", encoding="utf-8")
    page = text_of([contribution_of(tmp_path)])
    held = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', page)
    assert bool(held) == found
    assert not found or base64.b64decode(held[0]).decode() == "x\n'=1\n"


@pytest.mark.parametrize("missing", ["index.md", "meta.json"])
def test_incomplete_folders_are_refused(tmp_path: Path, crowd: Path, missing: str) -> None:
    folder = crowd if missing == "meta.json" else tmp_path
    (tmp_path / "index.html").write_text("", encoding="utf-8")
    (folder / missing).unlink(missing_ok=True)
    with pytest.raises(CrowdLLMError, match=r"complete|nothing to report"):
        contribution_of(folder)


def test_what_is_none_of_ours_is_refused_with_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(CrowdLLMError, match=r"nothing to report.*crowdllm evaluate"):
        find(tmp_path)
    with pytest.raises(CrowdLLMError, match="is not a folder"):
        find(tmp_path / "nowhere")
    (tmp_path / "metrics.csv").write_text("", encoding="utf-8")
    (tmp_path / "comparison.json").write_text("{", encoding="utf-8")
    with pytest.raises(CrowdLLMError, match=r"comparison\.json is damaged"):
        find(tmp_path)


def test_a_report_stays_below_three_megabytes(tmp_path: Path) -> None:
    problem: dict[str, Any] = {"id": "x", "text": "w" * 600, "labels": ["1"], "crowd": [100.0]}
    large = Contribution({}, (Section("Any", (Explorer(tuple([problem] * 8000)),)),))
    with pytest.raises(ValueError, match="more than"):
        document("t", [large], "c")
    out = write_report("t", [large], "c", tmp_path / "r.html")[0]
    assert out.stat().st_size < MOST_BYTES
    assert "further problems are not in this file" in out.read_text(encoding="utf-8")


def test_cost_is_what_the_recordings_say(humans: Path) -> None:
    (humans / "references").mkdir()
    usage = {"calls": 12, "prompt_tokens": 3400, "completion_tokens": 56}
    (humans / "references" / "gpt.json").write_text(json.dumps({"usage": usage, "cost": 0.0123}), encoding="utf-8")
    (humans / "references" / "bad.json").write_text("{", encoding="utf-8")
    page = text_of([of_costs.contribute(humans)])
    assert "<td>12</td><td>3,400</td><td>56</td><td>0.0123</td>" in page
    assert "the account cannot be read" in page


def test_without_a_browser_a_pdf_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed.shutil, "which", lambda name: None)
    with pytest.raises(CrowdLLMError, match=r"open .*r\.html and print it"):
        print_pdf(tmp_path / "r.html", tmp_path / "r.pdf")


def test_in_a_browser_it_is_found_read_and_printed(chromium: Any, crowd: Path, humans: Path, tmp_path: Path) -> None:
    """Search by typing, the keyboard, a narrow window, no foreign request, no serious finding of axe; and a PDF."""
    from axe_playwright_python.sync_playwright import Axe
    from pypdf import PdfReader

    out, pdf = write_report("Buses", [contribution_of(crowd, load_study(humans))], "c", tmp_path / "r.html", pdf=True)
    assert "How would the crowd answer?" in PdfReader(pdf).pages[0].extract_text()
    for width in (1280, 380):
        page = chromium.new_page(viewport={"width": width, "height": 900})
        said: list[str] = []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("dialog", lambda dialog, said=said: said.append("dialog"))
        page.on("request", lambda r, said=said: None if r.url.startswith(("file:", "data:")) else said.append(r.url))
        page.goto(out.as_uri())
        page.get_by_label("Find a problem").fill("night")
        assert page.locator("#count").inner_text() == "1 of 4 problems"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.locator("#shown h3").inner_text() == "Night buses?"
        assert "humans (40)" in page.locator("#shown").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        serious = [v["id"] for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        assert serious == []
        assert said == []
        page.close()
