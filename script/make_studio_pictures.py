"""Take the pictures of docs/studio.md: a studio on the bundled example, in a headless Chromium, page by page.

    python script/make_studio_pictures.py [FOLDER]      # default docs/images; keeps its model in build/studio-pictures

The references of the problems are typed in here, as a user could; no LLM is asked.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

import crowdllm
from crowdllm.config import CrowdConfig
from crowdllm.experiments.demo import open_demo_study
from crowdllm.experiments.llm_backends import LLM
from crowdllm.experiments.sources import open_references
from crowdllm.llm.usage import Price
from crowdllm.studio.app import make_app, make_studio
from crowdllm.studio.asking import Asker
from crowdllm.studio.calibration import measure_reach, save_reach
from crowdllm.studio.crowd import Who
from crowdllm.studio.fits import ALIVE, JOB, STATE, write_json
from crowdllm.studio.guard import Access
from crowdllm.studio.new_reference import NewReference
from crowdllm.studio.serve import serve
from crowdllm.studio.workspace import AUDIENCE, Workspace, who_to, wording

ROOT = Path(__file__).parents[1]
PROBLEMS = (
    ("Shops should be allowed to open on Sundays.", (12, 20, 18, 28, 22)),
    ("Shops should stay closed on Sundays, so that everybody has a day off together.", (18, 22, 20, 24, 16)),
    ("The city should plant a tree in front of every new building.", (3, 7, 18, 38, 34)),
    ("Electric scooters should be banned from the old town.", (10, 17, 20, 25, 28)),
)
TABLE = """worker,task,question,label,age group,city,email
w01,t1,How warm is your flat in winter?,4,under 40,Bern,a@example.org
w01,t2,How quiet is your street at night?,2,under 40,Bern,a@example.org
w02,t1,How warm is your flat in winter?,5,40 and over,Basel,b@example.org
w02,t2,How quiet is your street at night?,7,40 and over,Basel,b@example.org
w03,t1,How warm is your flat in winter?,3,under 40,Bern,c@example.org
w03,t2,How quiet is your street at night?,four,40 and over,Bern,c@example.org
w04,t1,How warm is your flat in winter?,4,40 and over,Chur,d@example.org
w04,t2,How quiet is your street at night?,3,40 and over,Chur,d@example.org
"""


def filled_workspace(folder: Path) -> Workspace:
    """The example's model with measured intervals, four problems, and two choices of people."""
    model_folder = folder / "Living in the city"
    opened = open_demo_study()
    references = open_references(opened, None)
    if not (model_folder / "intervals.json").is_file():
        crowdllm.save_model(crowdllm.fit(opened.study, references), model_folder, opened.study)
        save_reach(measure_reach(opened.study, references, CrowdConfig()), model_folder)
    shutil.rmtree(folder / "studio", ignore_errors=True)
    work = Workspace(folder / "studio")
    study = work.add_study(str(opened.folder))
    crowd = work.add_model(model_folder, study.body["source"], "Living in the city")
    context, requirements = opened.study.context, opened.study.requirements
    for text, percent in PROBLEMS:
        entry = work.add_problem(crowd.id, text, context=context, requirements=requirements)
        shares = tuple(p / 100 for p in percent)
        work.set_reference(entry, NewReference("typed in", wording(entry.body), shares, (), "distribution"))
    work.add_problem(crowd.id, "Buses should run all night.", context=context, requirements=requirements)
    for who in (
        Who("young people in the centre", {"age": [(18.0, 35.0)], "district": ["centre"]}),
        Who("as in the census", {}, {"district": {"centre": 0.3, "suburb": 0.5, "countryside": 0.2}}),
    ):
        work.store.add(AUDIENCE, who_to(who) | {"crowd": crowd.id})
    return work


def written_survey(folder: Path) -> Path:
    """A small SPSS file with two scales, a missing code and a weight."""
    import pandas as pd
    import pyreadstat

    people, agree = 40, {1.0: "Disagree", 2.0: "Neither", 3.0: "Agree", 9.0: "No answer"}
    frame = pd.DataFrame(
        {
            "quiet": [float((1, 2, 3, 3, 9)[i % 5]) for i in range(people)],
            "warm": [float((3, 3, 2, 1, 3)[i % 5]) for i in range(people)],
            "travel": [float(1 + i % 3) for i in range(people)],
            "agegroup": [float(1 + i % 2) for i in range(people)],
            "weight": [(0.8, 1.2)[i % 2] for i in range(people)],
            "email": [f"person{i}@example.org" for i in range(people)],
        }
    )
    labels = {
        "quiet": agree,
        "warm": agree,
        "travel": {1.0: "Bus", 2.0: "Bicycle", 3.0: "On foot"},
        "agegroup": {1.0: "under 40", 2.0: "40 and over"},
    }
    words = ["My street is quiet", "My flat is warm", "How do you mostly travel?", "Age", "Weight", "E-mail"]
    missing = {"quiet": [9.0], "warm": [9.0]}
    path = folder / "neighbours.sav"
    pyreadstat.write_sav(frame, path, column_labels=words, variable_value_labels=labels, missing_ranges=missing)
    return path


def take(page: Any, out: Path, name: str, most: int = 1500) -> None:
    """A picture of the page from its top, at most so many pixels high."""
    height = min(most, int(page.evaluate("document.documentElement.scrollHeight")))
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    size = page.viewport_size
    page.set_viewport_size({"width": size["width"], "height": height})
    page.screenshot(path=out / f"studio-{name}.png")
    page.set_viewport_size(size)
    print(out / f"studio-{name}.png", (out / f"studio-{name}.png").stat().st_size)


def walk(browser: Any, base: str, address: str, work: Workspace, folder: Path, out: Path) -> None:
    """Every page once, and some of them narrow and dark."""
    problems = work.problems()
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.goto(address)
    take(page, out, "problems")
    page.goto(f"{base}/problems/{problems[0].id}")
    take(page, out, "answer", 1250)
    page.goto(f"{base}/problems/{problems[-1].id}")
    take(page, out, "reference")
    page.goto(f"{base}/problems/new")
    take(page, out, "new")
    page.goto(f"{base}/who/{work.store.all(AUDIENCE)[0].id}")
    take(page, out, "who", 1000)
    page.goto(f"{base}/compare?a={problems[0].id}&b={problems[1].id}")
    take(page, out, "compare", 1200)
    page.goto(f"{base}/people")
    take(page, out, "people", 1000)
    page.goto(f"{base}/data")
    take(page, out, "data")
    (folder / "neighbours.csv").write_text(TABLE, encoding="utf-8")
    page.get_by_label("File").set_input_files(folder / "neighbours.csv")
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("heading", name="What is in").wait_for()
    page.get_by_label("Response type").select_option("ordinal")
    page.locator("#levels").fill("1\n2\n3\n4\n5")
    take(page, out, "columns", 1300)
    page.get_by_role("button", name="Make the study, and check it").click()
    page.get_by_role("heading", name="Is neighbours.csv right?").wait_for()
    take(page, out, "check")
    page.goto(f"{base}/data")
    page.get_by_label("File").set_input_files(written_survey(folder))
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("heading", name="What is in").wait_for()
    take(page, out, "survey", 1400)
    page.goto(f"{base}/fits/example")
    take(page, out, "fit")
    page.goto(f"{base}/export")
    take(page, out, "export")
    narrow = browser.new_context(viewport={"width": 380, "height": 800}, color_scheme="dark").new_page()
    narrow.goto(address)
    narrow.goto(f"{base}/problems/{problems[0].id}")
    take(narrow, out, "narrow-dark", 1400)


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    folder = ROOT / "build" / "studio-pictures"
    folder.mkdir(parents=True, exist_ok=True)
    work = filled_workspace(folder)
    running = work.folder / "fits" / "example"
    running.mkdir(parents=True)
    job = {"study": str(open_demo_study().folder), "title": "Living in the city", "references": "recorded"}
    write_json(running / JOB, job | {"started": time.time() - 8})
    write_json(running / STATE, {"outcome": "running", "stage": "training the personal part", "done": 23, "of": 60})
    (running / ALIVE).touch()
    asker = Asker(LLM("openai", "gpt-4o-mini"), work.folder, Price(0.15, 0.6), 1.0)
    studio = make_studio(work, asker)
    up, done, found = threading.Event(), threading.Event(), []

    def ready(access: Access) -> None:
        found.append(access)
        up.set()

    def run() -> None:
        serve(lambda access, seen: make_app(studio, access, seen), 0, 0.0, lambda: not done.is_set(), ready)

    thread = threading.Thread(target=run)
    thread.start()
    up.wait(30)
    try:
        with sync_playwright() as player:
            browser = player.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox"]
            )
            walk(browser, f"http://127.0.0.1:{found[0].port}", found[0].address, work, folder, out)
            browser.close()
    finally:
        done.set()
        thread.join(20)


if __name__ == "__main__":
    main()
