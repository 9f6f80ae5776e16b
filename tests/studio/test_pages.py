"""The pages of the studio in a real browser: the main paths by clicking and typing, wide and narrow, light and dark."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

WIDTHS = (1280, 380)
HOSTILE = (
    '<script>window.hacked = 1</script></style></textarea><img src=x onerror="window.hacked = 1">',
    '=HYPERLINK("http://evil.example") \'"><b>bold</b> {{ 7 * 7 }} {% raw %}',
    "شلوم \u202eevil\u202c 👩‍👩‍👧 \x00 end",
)


def fits_the_screen(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (380, "dark")])
def test_a_new_problem_is_written_asked_and_answered(browsing: Any, server: Any, width: int, scheme: str) -> None:
    page = browsing.open(server, width=width, scheme=scheme)
    page.get_by_role("link", name="Write a new problem").first.click()
    page.get_by_label("The problem, as people would read it").fill(f"Libraries should open on Sundays ({width}).")
    page.get_by_role("button", name="Add to the list").click()
    page.get_by_role("heading", name="This problem needs a reference first").wait_for()
    plan = page.locator(".plan").inner_text()
    assert "to ask: 1 answers about 1 problems" in plan
    page.get_by_role("button", name="Ask made up").click()
    page.locator(".lead", has_text="On average").wait_for()
    assert "Sampling interval only" in page.locator("p.kind").inner_text()
    assert "10,000 simulated people; behind them stand 300 of 300 training people" in page.locator("main").inner_text()
    assert page.locator("table.bars tbody tr").count() == 5
    assert page.get_by_role("table", name="where they live").locator("tbody tr").count() >= 3
    assert fits_the_screen(page)
    page.get_by_role("link", name="Problems", exact=True).first.click()
    assert page.get_by_role("link", name=f"Libraries should open on Sundays ({width}).").is_visible()


def test_typing_a_reference_in_answers_the_problem(browsing: Any, server: Any, ask: Any) -> None:
    entry = ask(server.work, "Parks should have more benches.", reference=False)
    page = browsing.open(server, f"/problems/{entry.id}", width=380)
    for number, share in enumerate(("10", "20", "30", "25", "15"), start=1):
        page.get_by_label(f"{number} (%)").fill(share)
    page.get_by_role("button", name="Use this").click()
    page.get_by_text("Given by typed in").wait_for()
    assert page.locator("table.bars tbody tr").nth(2).locator("td").nth(3).inner_text() == "30.0"


def test_shares_that_do_not_add_up_are_refused_in_words(browsing: Any, server: Any, ask: Any) -> None:
    entry = ask(server.work, "Bicycles on trains?", reference=False)
    page = browsing.open(server, f"/problems/{entry.id}")
    page.get_by_label("1 (%)").fill("40")
    page.get_by_role("button", name="Use this").click()
    assert "add up to 40, not to 100" in page.get_by_role("alert").inner_text()


@pytest.mark.parametrize("width", WIDTHS)
def test_people_are_chosen_with_the_number_behind_each_choice(browsing: Any, server: Any, ask: Any, width: int) -> None:
    entry = ask(server.work, "Night buses are needed.")
    page = browsing.open(server, "/who/new", width=width)
    page.get_by_label("A name for this choice").fill(f"centre, alone {width}")
    page.get_by_label("centre").first.check()
    page.locator("#count", has_text="90 of 300 training people").wait_for()
    page.get_by_label("alone").first.check()
    page.locator("#count", has_text="about").wait_for()
    page.locator("fieldset", has_text="highest education").get_by_text("Target shares").click()
    for label, share in (("compulsory", "10"), ("vocational", "20"), ("bachelor", "30"), ("master", "40")):
        page.get_by_label(re.compile(f"^{label}.*%")).fill(share)
    assert fits_the_screen(page)
    page.get_by_role("button", name="Keep this choice").click()
    assert page.get_by_role("status").first.inner_text() == "Saved."
    page.goto(f"{server.base}/problems/{entry.id}")
    page.get_by_label("Who is asked").select_option(f"centre, alone {width}")
    page.get_by_role("heading", name=f"How centre, alone {width} would answer").wait_for()
    assert "That is few" in page.locator("p.behind").inner_text()
    district = page.get_by_role("table", name="where they live").locator("tbody tr")
    people = [int(row.locator("td").first.inner_text().replace(",", "")) for row in district.all()]
    assert people[0] == 10_000
    assert sum(people) == 10_000


def test_a_choice_that_nobody_meets_is_refused_and_nothing_typed_is_lost(browsing: Any, server: Any) -> None:
    page = browsing.open(server, "/who/new")
    page.get_by_label("A name for this choice").fill("very old")
    page.get_by_label("from").fill("140")
    page.get_by_role("button", name="Keep this choice").click()
    assert "nobody qualifies" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("A name for this choice").input_value() == "very old"
    assert page.get_by_label("from").input_value() == "140"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (380, "light")])
def test_two_wordings_stand_side_by_side(browsing: Any, server: Any, ask: Any, width: int, scheme: str) -> None:
    first, second = ask(server.work, f"More taxes {width}."), ask(server.work, f"More money for schools {width}.")
    page = browsing.open(server, "/compare", width=width, scheme=scheme)
    page.locator("#a").select_option(first.id)
    page.locator("#b").select_option(second.id)
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("heading", name=f"More taxes {width}.").wait_for()
    assert page.get_by_role("heading", name=f"More money for schools {width}.").is_visible()
    assert page.get_by_role("region", name="The difference").locator("tbody tr").count() == 5
    tops = page.locator(".sides > section").evaluate_all("all => all.map(each => each.getBoundingClientRect().top)")
    assert (tops[0] == tops[1]) == (width == 1280)  # measured at once: the page may still settle
    assert fits_the_screen(page)


def test_a_simulated_person_answers_every_problem_of_the_list(browsing: Any, server: Any, ask: Any) -> None:
    entry = ask(server.work, "Markets on Saturdays.")
    page = browsing.open(server, "/people", width=380)
    card = page.locator("li.card").first
    assert card.get_by_role("link", name="Markets on Saturdays.").is_visible()
    assert card.locator(".answers dd").first.inner_text() in {"1", "2", "3", "4", "5"}
    first = page.locator("main").inner_text()
    page.get_by_role("link", name="Other people").click()
    assert page.get_by_text("Person 7").is_visible()
    page.get_by_role("link", name="Those before").click()
    assert page.locator("main").inner_text() == first
    assert fits_the_screen(page)
    assert server.work.store.get(entry.id, "problem")


def test_everything_can_be_done_with_the_keyboard_alone(browsing: Any, server: Any) -> None:
    page = browsing.open(server)

    def tab_to(name: str, most: int = 60) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            found = page.evaluate(
                "(document.activeElement.labels?.[0]?.innerText || document.activeElement.innerText || '').trim()"
            )
            if found.startswith(name):
                ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert ring != "none"
                return
        raise AssertionError(f"no Tab reaches {name!r}")

    tab_to("Skip to the content")
    page.keyboard.press("Enter")
    tab_to("Write a new problem")
    page.keyboard.press("Enter")
    page.wait_for_url("**/problems/new")
    tab_to("The problem, as people")
    page.keyboard.type("Street lamps should go out at midnight.")
    tab_to("Add to the list")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Ask made up").wait_for()
    tab_to("Ask made up")
    page.keyboard.press("Enter")
    page.locator("table.bars").wait_for()
    tab_to("Simulated people")
    page.keyboard.press("Control+a")
    page.keyboard.type("500")
    page.keyboard.press("Enter")
    page.get_by_text("500 simulated people").first.wait_for()


def test_hostile_text_is_shown_as_text_everywhere(browsing: Any, server: Any, ask: Any) -> None:
    entries = [ask(server.work, text, context=text, requirements=text) for text in HOSTILE]
    crowd, answered = entries[0].body["crowd"], [f"/problems/{entry.id}" for entry in entries]
    with server.client() as client:
        for text in HOSTILE:
            made = client.post("/who", data={"crowd": crowd, "name": text.replace("\0", ""), "level-1": "0"})
            assert made.status_code == 303
    page = browsing.open(server, width=380)
    for place in ("/", "/compare", "/people", "/export", "/who", *answered):
        page.goto(server.base + place)
        assert page.evaluate("window.hacked") is None, place
        assert page.locator("main img").count() == 0, place
        assert fits_the_screen(page), place
    page.goto(f"{server.base}/problems/{entries[0].id}")
    assert page.get_by_role("heading", level=1).inner_text() == HOSTILE[0]
    page.goto(f"{server.base}/problems/{entries[1].id}")
    assert "{{ 7 * 7 }}" in page.get_by_role("heading", level=1).inner_text()
    page.goto(f"{server.base}/problems/{entries[2].id}")
    heading = page.get_by_role("heading", level=1).inner_text()
    assert "\\u202e" in heading
    assert "␀" in heading
    assert "👩‍👩‍👧" in heading
    page.goto(f"{server.base}/problems/{entries[0].id}/edit")
    assert page.get_by_label("The problem, as people would read it").input_value() == HOSTILE[0]


def test_a_problem_of_a_hundred_thousand_characters_is_taken_whole(browsing: Any, server: Any) -> None:
    page = browsing.open(server, "/problems/new")
    text = "A long story. " * 7200
    page.get_by_label("The problem, as people would read it").fill(text)
    page.get_by_role("button", name="Add to the list").click()
    page.get_by_role("button", name="Ask made up").click()
    page.get_by_text("The whole text").click()
    assert page.locator(".whole-text").inner_text().strip() == text.strip()
    assert fits_the_screen(page)


PAGES = ("/", "/problems/new", "/problems/ID", "/who", "/who/new", "/compare", "/people", "/data", "/export")


def serious_findings(page: Any) -> list[tuple[str, str]]:
    found = Axe().run(page).response["violations"]
    return [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]


def look_at(page: Any, server: Any, place: str) -> None:
    page.goto(server.base + place)
    assert not serious_findings(page), place
    assert fits_the_screen(page), place
    assert page.locator("h1").count() == 1, place


@pytest.mark.parametrize(("width", "scheme", "odd"), [(1280, "light", 0), (380, "dark", 1)])
def test_axe_finds_nothing_serious(browsing: Any, server: Any, ask: Any, width: int, scheme: str, odd: int) -> None:
    entry = ask(server.work, "Playgrounds need shade.")
    page = browsing.open(server, width=width, scheme=scheme)
    for place in PAGES[odd::2]:
        look_at(page, server, place.replace("ID", entry.id))


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(browsing: Any, server: Any, ask: Any, width: int, scheme: str) -> None:
    entry, waiting = ask(server.work, "Playgrounds need shade."), ask(server.work, "Sand pits?", reference=False)
    page = browsing.open(server, width=width, scheme=scheme)
    more = (f"/problems/{waiting.id}", f"/problems/{entry.id}/edit", "/nowhere", "/problems/none")
    for place in (*PAGES, *more):
        look_at(page, server, place.replace("ID", entry.id))


def test_axe_would_find_a_field_without_a_label(browsing: Any, server: Any) -> None:
    page = browsing.open(server, "/export")
    page.evaluate("document.querySelector('main').append(document.createElement('input'))")
    assert "label" in [name for name, _ in serious_findings(page)]


def test_nothing_is_loaded_from_elsewhere(browsing: Any, server: Any, ask: Any) -> None:
    entry = ask(server.work, "Cycle paths on every road.")
    page = browsing.open(server)
    for place in PAGES:
        page.goto(server.base + place.replace("ID", entry.id))
    assert len(browsing.asked) > len(PAGES)
    assert not browsing.foreign(server)
    assert not [url for url in browsing.asked if "token" in url and not url.startswith(server.access.address)]


def test_a_page_without_an_llm_says_so(browsing: Any, bare_server: Any, model_folder: Any, ask: Any) -> None:
    bare_server.work.open(str(model_folder))
    entry = ask(bare_server.work, "Fountains in every square.", reference=False)
    page = browsing.open(bare_server, f"/problems/{entry.id}")
    assert "No LLM is configured" in page.locator(".no-llm").inner_text()
    assert page.get_by_role("button", name="Use this").is_visible()
    assert page.get_by_role("button", name="Ask").count() == 0


def test_the_main_path_works_without_javascript(browsing: Any, server: Any) -> None:
    page = browsing.open(server, "/problems/new", width=380, java_script_enabled=False)
    page.get_by_label("The problem, as people would read it").fill("Public toilets should be free.")
    page.get_by_role("button", name="Add to the list").click()
    page.get_by_role("button", name="Ask made up").click()
    page.locator(".lead", has_text="On average").wait_for()
    page.get_by_role("spinbutton", name="Simulated people").fill("300")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("300 simulated people").first.wait_for()


def test_a_study_that_was_opened_is_offered_for_a_fit(browsing: Any, bare_server: Any) -> None:
    page = browsing.open(bare_server)
    page.get_by_role("button", name="Try it with the bundled example").click()
    page.get_by_role("heading", name="Fit a crowd on").wait_for()
    assert (
        "300 people, 40 problems, 3,603 responses; these people are themselves simulated"
        in page.locator("main").inner_text()
    )
    assert page.get_by_label("recorded").is_checked()
    page.goto(bare_server.base)
    assert page.get_by_role("link", name="Fit a crowd on").is_visible()


def test_an_empty_studio_says_where_to_begin(browsing: Any, bare_server: Any) -> None:
    page = browsing.open(bare_server, width=380)
    assert page.get_by_role("button", name="Try it with the bundled example").is_visible()
    for place in ("/problems/new", "/who/new", "/people"):
        page.goto(bare_server.base + place)
        assert "There is no crowd to ask yet" in page.get_by_role("heading", level=1).inner_text()
