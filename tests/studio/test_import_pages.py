"""From a table of responses to a crowd that answers a new problem, by clicking and typing in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

DRINKS = ("tea", "coffee", "water")


def table(people: int = 24) -> str:
    """Choices that depend on the age and the hour, and one fault."""
    rows = ["worker,task,question,label,age group,email,<img src=x onerror=alert(1)>"]
    for person in range(people):
        age = ("young", "old")[person % 2]
        for hour in range(6):
            choice = DRINKS[(person % 2 + hour // 3 + (person * 7 + hour) % 3 // 2) % 3]
            question = f"What do you drink at {8 + 2 * hour} o'clock?"
            rows.append(f"w{person},t{hour},{question},{choice},{age},w{person}@x.org,=1+1</td>")
    rows[5] = rows[5].replace(",".join(rows[5].split(",")[3:4]), "lemonade <b>")
    return "\n".join(rows) + "\n"


def no_serious_findings(page: Any) -> bool:
    found = Axe().run(page).response["violations"]
    return not [v["id"] for v in found if v["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("width", [1280, 380])
def test_columns_are_mapped_and_findings_stand_beside_the_rows(
    browsing: Any, server: Any, tmp_path: Path, width: int
) -> None:
    (tmp_path / "drinks.csv").write_text(table())
    page = browsing.open(server, "/data", width=width, scheme="dark")
    page.get_by_label("File").set_input_files(tmp_path / "drinks.csv")
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("heading", name="What is in drinks.csv?").wait_for()
    assert page.get_by_label("worker", exact=True).input_value() == "participant"
    assert page.get_by_label("label", exact=True).input_value() == "response"
    assert page.get_by_label("age group", exact=True).input_value() == "profile"
    assert page.get_by_label("email", exact=True).input_value() == "leave"
    assert page.get_by_label("<img src=x onerror=alert(1)>", exact=True).is_visible()
    assert page.locator("main img").count() == 0
    assert page.get_by_role("cell", name="=1+1</td>").count() == 5
    assert no_serious_findings(page)
    assert page.get_by_label("Response type").input_value() == "choice"
    page.get_by_label("Options of all problems").fill("\n".join(DRINKS))
    page.get_by_label("Title").fill(f"Drinks {width}")
    page.get_by_role("button", name="Make the study, and check it").click()
    page.get_by_text("The study cannot be used yet.").wait_for()
    row = page.get_by_role("region", name="Rows with findings").locator("tbody tr").first
    assert row.locator("th").inner_text() == "6"
    assert "lemonade <b>" in row.inner_text()
    assert "error" in row.locator(".sev").first.inner_text()
    assert no_serious_findings(page)
    page.reload()
    page.get_by_role("button", name="Leave out the 1 rows with errors").click()
    page.get_by_text("The study can be used.").wait_for()
    with page.expect_download() as held:
        page.get_by_role("link", name="Download the study folder").click()
    assert held.value.suggested_filename == "study.zip"
    page.get_by_role("button", name="Use this study").click()
    page.get_by_role("heading", name=f"Fit a crowd on “Drinks {width}”").wait_for()
    assert "24 people, 6 problems, 143 responses" in page.locator("main").inner_text()


def test_a_fit_is_watched_across_a_reload_and_then_asked(browsing: Any, bare_server: Any, tmp_path: Path) -> None:
    from crowdllm.studio.fits import Job
    from crowdllm.studio.importing import Layout, make_study, read_upload

    path = tmp_path / "drinks.csv"
    path.write_text(table().replace("lemonade <b>", "tea"))
    roles = {
        "worker": "participant",
        "task": "problem",
        "question": "text",
        "label": "response",
        "age group": "profile",
    }
    scale = {"type": "choice", "options": list(DRINKS)}
    folder = make_study(
        read_upload(path)[0], Layout("long", roles, response=scale, title="Drinks"), tmp_path / "s"
    ).folder
    settings = {"max_epochs": 2, "belief_width": 1, "effect_variances": [0.3]}
    state = bare_server.studio.fits.start(Job(str(folder), "Drinks", "none", settings=settings, measure=False))
    page = browsing.open(bare_server, f"/fits/{state.id}")
    page.get_by_role("button", name="Stop it").wait_for()
    page.reload()
    page.get_by_role("link", name="Write a new problem").wait_for(timeout=180_000)
    page.get_by_role("link", name="Write a new problem").click()
    page.get_by_label("The problem, as people").fill("What would you drink at night?")
    page.get_by_label("Options, one in each line").fill("tea\nwater\n<i>milk</i>")
    page.get_by_role("button", name="Add to the list").click()
    page.locator(".lead", has_text="First is").wait_for()
    assert page.locator("table.bars tbody th").all_inner_texts() == ["tea", "water", "<i>milk</i>"]
    assert "needs none" in page.locator("main").inner_text()


def test_a_crowd_on_another_scale_takes_no_options(browsing: Any, server: Any) -> None:
    with server.client() as client:
        crowd = next(e.id for e in server.work.crowds() if server.work.crowd(e.id).kind.kind == "ordinal")
        answer = client.post("/problems", data={"crowd": crowd, "text": "Yes?", "options": "a\nb"})
    assert answer.status_code == 400
    assert "take them out" in answer.text
