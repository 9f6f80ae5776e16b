"""Errors name the value, the place, what is allowed and the nearest valid name."""

from __future__ import annotations

import inspect

import pytest

from crowdllm import errors
from crowdllm.errors import Finding, MissingExtraError, StudyError, UnknownNameError, UnparsableAnswerError, nearest


def test_every_error_is_one_that_the_user_can_mend() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, Exception)]
    assert len(classes) > 5
    assert all(issubclass(c, errors.CrowdLLMError) for c in classes)


@pytest.mark.parametrize(
    ("name", "near"), [("medain", "median"), ("MEDIAN", "median"), ("Dawid Skene", "dawid_skene"), ("xyzzy", "")]
)
def test_the_nearest_name_is_found_whatever_its_case(name: str, near: str) -> None:
    assert nearest(name, ["mean", "median", "dawid_skene"]) == near


def test_an_unknown_name_lists_the_valid_ones_the_place_and_the_nearest() -> None:
    error = UnknownNameError("aggregator", "medain", iter(["mean", "median"]), "the command line")
    assert str(error) == (
        "unknown aggregator 'medain' in the command line: choose from mean, median; did you mean 'median'?"
    )
    assert (error.name, error.valid, error.nearest) == ("medain", ["mean", "median"], "median")
    assert str(UnknownNameError("column", "x", [])) == "unknown column 'x': choose from (none)"


def test_an_unparsable_answer_is_shown_shortened_and_kept_whole() -> None:
    error = UnparsableAnswerError("x" * 200_000, "1 to 5")
    assert len(str(error)) < 150
    assert "1 to 5" in str(error)
    assert len(error.value) == 200_000


def test_a_finding_tells_place_value_allowed_and_nearest() -> None:
    finding = Finding("error", "unknown level", "people.csv", 7, "party", "redd", "red, blue", "red")
    assert str(finding) == (
        "people.csv, row 7, column 'party': unknown level (value 'redd'); allowed: red, blue; nearest: 'red'"
    )
    assert str(Finding("note", "all well")) == "all well"
    assert len(str(Finding("error", "long", value="v" * 1000))) < 100


def test_a_study_error_shows_errors_and_keeps_every_finding() -> None:
    findings = [Finding("error", "first"), Finding("warning", "second"), Finding("error", "third")]
    error = StudyError(findings)
    assert str(error) == "first\nthird"
    assert error.findings == findings
    assert str(StudyError([])) == "the study cannot be read"


def test_a_missing_package_names_the_extra_to_install() -> None:
    assert "pip install 'crowdllm[embed]'" in str(MissingExtraError("the embedding", "embed"))
