"""Files of survey tools in the studio: read as `crowdllm import` reads them, changed by hand, taken as a study."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crowdllm
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.importing import import_study
from crowdllm.studio.survey_import import format_of, take_in

AGREE = {1.0: "Disagree", 2.0: "Neither", 3.0: "Agree", 9.0: "No answer"}
TASKS = [{"id": 1, "data": {"text": "a"}, "annotations": [{"completed_by": 1, "result": []}]}]


def write_sav(path: Path) -> Path:
    """Twelve people: two items on one scale, one tick of two, an age group, a weight and an e-mail address."""
    pyreadstat = pytest.importorskip("pyreadstat")
    frame = pd.DataFrame(
        {
            "fair": [1.0, 2.0, 3.0, 9.0] * 3,
            "warm": [3.0, 3.0, 1.0, 2.0] * 3,
            "car": [1.0, 2.0] * 6,
            "agegroup": [1.0, 1.0, 2.0] * 4,
            "wt": [0.5, 1.5] * 6,
            "email": [f"p{i}@x.org" for i in range(12)],
        }
    )
    pyreadstat.write_sav(
        frame,
        str(path),
        column_labels=["Courts are fair </style><script>", "Summers are warm", "Which car?", "Age", "Weight", "E-mail"],
        variable_value_labels={
            "fair": AGREE,
            "warm": AGREE,
            "car": {1.0: "Red", 2.0: "Blue"},
            "agegroup": {1.0: "18-39", 2.0: "40-99"},
        },
        missing_ranges={"fair": [9.0], "warm": [9.0]},
    )
    return path


def test_an_uploaded_spss_file_becomes_the_studies_that_the_command_makes(tmp_path: Path) -> None:
    path = write_sav(tmp_path / "poll.sav")
    assert format_of([path]) == "spss"
    taken = take_in([path], "spss", {}, tmp_path / "studies")
    assert [report.usable for report in taken.reports] == [True] * len(taken.reports)
    expected = import_study(path)
    assert [f.name for f in taken.folders] == [part.name for part in expected.parts]
    likert = crowdllm.load_study(taken.folders[0])
    assert likert.response_type.to_dict()["levels"] == ["Disagree", "Neither", "Agree"]
    assert len(likert.responses) == 21  # 24 cells, of which three are "No answer"
    assert likert.weights_N is not None
    np.testing.assert_allclose(likert.weights_N, [0.5, 1.5] * 6)
    held = "".join(p.read_text() for p in taken.folder.rglob("*") if p.is_file())
    assert "@x.org" not in held


def test_two_mappings_of_one_upload_do_not_meet(tmp_path: Path) -> None:
    path = write_sav(tmp_path / "poll.sav")
    first = take_in([path], "spss", {}, tmp_path / "studies")
    second = take_in([path], "spss", {"columns": {"warm": {"use": "skip"}}}, tmp_path / "studies")
    assert first.folder != second.folder
    assert len(crowdllm.load_study(first.folders[0]).problems) == 2
    assert len(crowdllm.load_study(second.folders[0]).problems) == 1


@pytest.mark.parametrize(("name", "words"), [("photo.png", "not recognised"), ("poll.sav", "poll.sav")])
def test_a_file_of_something_else_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    with pytest.raises(CrowdLLMError, match=words):
        take_in([tmp_path / name], format_of([tmp_path / name]), {}, tmp_path / "studies")


def test_uploads_are_sorted_into_tables_and_surveys(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["person", "Is it warm today, or not?", "Is it dry today, or not?"], ["a", 1, 2], ["b", 3, 3]):
        book.active.append(row)
    book.save(tmp_path / "plain.xlsx")
    (tmp_path / "tasks.json").write_text(json.dumps(TASKS))
    assert format_of([tmp_path / "plain.xlsx"]) == ""
    assert format_of([tmp_path / "tasks.json"]) == "labelstudio"
    assert format_of([tmp_path / "plain.xlsx"], "excel") == ""
    with pytest.raises(CrowdLLMError, match="unknown format"):
        format_of([tmp_path / "plain.xlsx"], "exel")


def test_a_survey_is_uploaded_changed_and_used_in_the_browser(browsing: Any, server: Any, tmp_path: Path) -> None:
    page = browsing.open(server, "/data", width=380, scheme="dark")
    page.get_by_label("File").set_input_files(write_sav(tmp_path / "poll.sav"))
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("heading", name="What is in poll.sav?").wait_for()
    assert "Read as spss." in page.locator("main").inner_text()
    assert "survey weights: wt" in page.locator("main").inner_text()
    assert page.get_by_label("warm", exact=True).input_value() == "problem"
    assert page.get_by_label("agegroup", exact=True).input_value() == "profile"
    left = page.get_by_text("email: ").inner_text()
    assert "12 cells" in left
    page.get_by_label("car", exact=True).select_option("skip")
    page.get_by_label("Title").fill("Poll </title><b>")
    page.get_by_role("button", name="Read it so").click()
    page.get_by_text("Saved.").wait_for()
    assert page.get_by_label("car", exact=True).input_value() == "skip"
    assert "The study" in page.locator("main").inner_text()
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    assert not [v["id"] for v in found if v["impact"] in ("serious", "critical")]
    with page.expect_download() as held:
        page.get_by_role("link", name="Download all of it").click()
    with zipfile.ZipFile(io.BytesIO(Path(held.value.path()).read_bytes())) as archive:
        assert {"study/study.toml", "study/IMPORT.md"} <= set(archive.namelist())
    page.get_by_role("button", name="Use this study").click()
    page.get_by_role("heading", name="Fit a crowd on “Poll </title><b>”").wait_for()
    assert "12 people, 2 problems, 21 responses" in page.locator("main").inner_text()


def test_a_use_that_cannot_be_meant_is_said_and_changes_nothing(server: Any, tmp_path: Path) -> None:
    path = write_sav(tmp_path / "poll.sav")
    with server.client() as client:
        before = client.get("/data").text.count("poll.sav")
        sent = client.post("/imports", files={"table": ("poll.sav", path.read_bytes())})
        place = sent.headers["location"]
        assert place.startswith("/surveys/")
        columns = dict.fromkeys([f"use-{c}" for c in range(6)], "skip")
        answer = client.post(place, data=columns)
        assert answer.status_code == 400
        assert "no question found" in answer.text
        assert client.get(place).status_code == 200
        assert client.post(f"{place}/use", data={"part": "7"}).status_code == 400
        assert client.get(place.replace("surveys", "imports")).status_code == 400
        refused = client.post("/imports", files={"table": ("a.csv", b"a,b\n1,2\n")}, data={"format": "qualtrix"})
        assert refused.status_code == 400
        assert "qualtrics" in refused.text
        damaged = client.post("/imports", files={"table": ("poll.sav", path.read_bytes()[:200])})
        assert damaged.status_code == 400
        assert client.get("/data").text.count("poll.sav") == before + 1  # a refused upload leaves nothing on the list


def test_a_table_with_several_scales_can_be_taken_whole(server: Any) -> None:
    rows = ["person,Q1,Q2,Which colour do you like best?"]
    rows += [f"{i},{1 + i % 5},{5 - i % 5},{('red', 'blue')[i % 2]}" for i in range(10)]
    with server.client() as client:
        sent = client.post("/imports", files={"table": ("mixed.csv", "\n".join(rows).encode())})
        place = sent.headers["location"]
        assert place.startswith("/imports/")
        assert "Take them all" in client.get(place).text
        whole = client.post(f"{place}/survey").headers["location"]
        text = client.get(whole).text
    assert "2 ways of answering, a study for each" in text
    assert "10 people, 2 problems, 20 responses" in text
