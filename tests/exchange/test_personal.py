"""Personal data is recognised by name and by content; what is harmless stays."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.exchange.personal import (
    blot_text,
    numbered_people,
    personal_content,
    personal_name,
    pseudonyms,
    screen,
)


def cells(*words: str) -> np.ndarray:
    return np.array(words, dtype=object)


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ("IPAddress", "IP addresses"),
        ("ip", "IP addresses"),
        ("ip_address", "IP addresses"),
        ("RecipientEmail", "e-mail addresses"),
        ("E-mail", "e-mail addresses"),
        ("LocationLatitude", "coordinates"),
        ("lng", "coordinates"),
        ("PROLIFIC_PID", "platform identifiers"),
        ("WorkerId", "platform identifiers"),
        ("AssignmentId", "platform identifiers"),
        ("HITId", "platform identifiers"),
        ("ResponseId", "platform identifiers"),
        ("SESSION_ID", "platform identifiers"),
        ("Participant id", "platform identifiers"),
        ("completion_code", "payment or completion codes"),
        ("mTurkCode", "payment or completion codes"),
        ("IBAN", "payment or completion codes"),
        ("Phone number", "phone numbers"),
        ("last_name", "names"),
        ("Zip code", "postal addresses"),
        ("date_of_birth", "dates of birth"),
    ],
)
def test_a_name_gives_it_away(column: str, what: str) -> None:
    assert personal_name(column) == what


@pytest.mark.parametrize(
    "column",
    [
        "age", "rating", "Q1", "trip", "ship_to", "description", "flat_rate", "along", "pid7", "mobile_use", "latency",
        "How long have you lived here?", "tip", "country", "phonebook_q", "weight", "hit_rate", "studyhours",
        "named_brand", "Do you like your name and your street?",
    ],
)  # fmt: skip
def test_a_harmless_name_stays(column: str) -> None:
    assert personal_name(column) == ""


def test_the_wording_of_a_question_gives_it_away() -> None:
    assert personal_name("Q7", "Please enter your e-mail address") != ""
    assert personal_name("Q10", "Please enter your name") != ""
    assert personal_name("Q8", "What is your Prolific ID?") != ""
    assert personal_name("Q9", "How satisfied are you with our e-mails?") == ""


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("ann.lee+x@mail.example.org", "e-mail addresses"),
        ("203.0.113.7", "IP addresses"),
        ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "IP addresses"),
        ("2001:db8::8a2e:7334", "IP addresses"),
        ("48.20817, 16.37382", "coordinates"),
        ("-33.8688 151.2093", "coordinates"),
        ("5f3c1e2d4b5a69788796a5b4", "platform identifiers"),
        ("A2SUAM1J3GNN3B", "platform identifiers"),
        ("3IAEQB9FMEKCK4BVPJFF9XTBQGWDWP", "platform identifiers"),
        ("R_2aBcDeFgHiJkLmN", "platform identifiers"),
        ("123e4567-e89b-12d3-a456-426614174000", "platform identifiers"),
        ("+43 660 123 45 67", "phone numbers"),
        ("(212) 555-0123", "phone numbers"),
        ("DE89 3704 0044 0532 0130 00", "bank accounts"),
    ],
)
def test_content_gives_it_away_under_any_name(word: str, what: str) -> None:
    assert personal_content(cells(word, word, "")) == what
    assert blot_text(f"see {word} there") == (f"see [{what} left out] there", [what])


@pytest.mark.parametrize(
    "words",
    [
        ("1", "2", "5"),
        ("18-24", "25-34", "65+"),
        ("1.2.3", "1.2.4"),
        ("strongly agree", "agree"),
        ("0.734512", "1.223199", "0.912234"),
        ("12:30:00", "13:45:10"),
        ("2024-03-01", "2024-03-02"),
        ("a@home", "b"),
        ("user_1", "user_2"),
        ("100000", "250000"),
    ],
)
def test_harmless_content_stays(words: tuple[str, ...]) -> None:
    assert personal_content(cells(*words)) == ""


def test_a_code_for_everybody_is_a_payment_code() -> None:
    assert personal_content(cells("C1X9KQ2P", "K4JJ7T0A", "Z9Q8A7B6", "M3N4P5Q6")) == "payment or completion codes"
    assert personal_content(cells("ABCDEFGH", "HGFEDCBA", "AAAABBBB")) == ""  # words of letters only


def test_neighbouring_columns_of_coordinates_are_found_under_any_name() -> None:
    columns = {
        "x1": cells("48.208174", "47.070714", "48.306940"),
        "x2": cells("16.373819", "15.439504", "14.285830"),
        "y1": cells("0.734512", "1.223199", "0.912234"),
        "y2": cells("0.534512", "1.823199", "0.112234"),
    }
    screened = screen(columns)
    assert list(screened.columns) == ["y1", "y2"]  # weights have as many digits, but are small
    assert {left.column: left.what for left in screened.left_out} == {"x1": "coordinates", "x2": "coordinates"}


def test_single_cells_are_blotted_and_counted() -> None:
    column = cells(*["tea", "coffee", "water", "milk", "juice", "wine"], "write to a@b.org", "write to a@b.org")
    screened = screen({"drink": column})
    assert list(screened.columns["drink"][-2:]) == ["write to [e-mail addresses left out]"] * 2
    (left,) = screened.left_out
    assert (left.column, left.what, left.count) == ("drink", "e-mail addresses in single cells", 2)


def test_a_column_to_keep_is_kept() -> None:
    column = cells("a@b.org", "c@d.org")
    assert list(screen({"email": column}, keep=["email"]).columns["email"]) == ["a@b.org", "c@d.org"]


def test_ids_of_a_platform_are_replaced_in_order_of_appearance() -> None:
    ids, (left,) = pseudonyms(cells("A2SUAM1J3GNN3B", "", "A1SUAM1J3GNN3B", "A2SUAM1J3GNN3B"), "who")
    assert list(ids) == ["p1", "", "p2", "p1"]
    assert (left.how, left.count) == ("by content", 3)


def test_harmless_ids_stay_unless_the_column_is_a_platforms() -> None:
    assert list(pseudonyms(cells("u1", "u2"), "user")[0]) == ["u1", "u2"]
    assert list(pseudonyms(cells("17", "18"), "respondent_id")[0]) == ["17", "18"]
    assert list(pseudonyms(cells("17", "18"), "WorkerId")[0]) == ["p1", "p2"]
    assert list(pseudonyms(cells("Ann", "Robert Smith"), "user")[0]) == ["p1", "p2"]


def test_people_without_ids_are_numbered() -> None:
    assert list(numbered_people(3)) == ["p1", "p2", "p3"]
    assert numbered_people(10)[0] == "p01"
