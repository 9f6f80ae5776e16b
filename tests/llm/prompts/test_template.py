"""Templates: filled in once, and every mistake in one named with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdllm.errors import Finding, StudyError
from crowdllm.llm.prompts.template import ALLOWED, DEFAULTS, NEEDED, Template, read_templates

VALUES = {"context": "C", "requirements": "R", "item": "I", "instructions": "N"}


def faults(kind: str, text: str) -> list[Finding]:
    with pytest.raises(StudyError) as caught:
        Template(kind, text, f"prompts/{kind}.txt")
    return caught.value.findings


def test_placeholders_are_filled_in_and_braces_can_be_written() -> None:
    template = Template("zero-shot", "{{json}} {requirements}\n{item}{item}\n{instructions} }}{{")
    assert template.fill(VALUES) == "{json} R\nII\nN }{"


def test_lines_whose_placeholders_are_all_empty_are_left_out() -> None:
    template = Template("zero-shot", "{context}\n{context}{requirements}\nSay: {context}\n\n{item}\n{instructions}\n")
    assert template.fill(VALUES | {"context": ""}) == "R\nSay: \n\nI\nN"


@settings(max_examples=100, deadline=None, database=None)
@given(
    st.lists(st.sampled_from(["{", "}", "{{", "{item}", "{instructions}", "{0}", "x", "\n", "%s"]), max_size=8).map(
        "".join
    )
)
def test_what_stands_in_a_value_is_never_looked_at(text: str) -> None:
    template = Template("zero-shot", "[{item}]\n{instructions}")
    assert template.fill(VALUES | {"item": text}) == f"[{text}]\nN"


def test_an_unknown_placeholder_is_named_with_file_line_and_nearest() -> None:
    (finding,) = faults("zero-shot", "{item}\n\nPlease {instructoins}\n{instructions}")
    assert (finding.file, finding.row, finding.value) == ("prompts/zero-shot.txt", 3, "{instructoins}")
    assert finding.nearest == "{instructions}"
    assert "{context}" in finding.allowed


@pytest.mark.parametrize("text", ["{item} {\n{instructions}", "{item}\n} {instructions}", "{item}{instructions}{a{"])
def test_a_lone_brace_is_refused(text: str) -> None:
    assert any("lone brace" in finding.message for finding in faults("zero-shot", text))


@pytest.mark.parametrize("piece", ["{item.__class__}", "{item!r}", "{item:>9}", "{0}", "{}", "{ item }", "{ITEM}"])
def test_nothing_of_format_strings_is_understood(piece: str) -> None:
    assert [f.value for f in faults("zero-shot", f"{{item}}{{instructions}}\n{piece}")] == [piece]


@pytest.mark.parametrize("kind", ALLOWED)
def test_a_missing_placeholder_is_named(kind: str) -> None:
    messages = [finding.message for finding in faults(kind, "nothing at all")]
    assert len(messages) == len(NEEDED[kind])
    for name in NEEDED[kind]:
        assert any(f"{{{name}}} is missing" in message for message in messages)


def test_a_placeholder_of_another_kind_is_unknown() -> None:
    assert [f.value for f in faults("zero-shot", "{profile}{item}{instructions}")] == ["{profile}"]


def test_a_study_without_templates_has_the_built_in_ones(tmp_path: Path) -> None:
    assert read_templates(tmp_path) == read_templates(None) == DEFAULTS


def test_templates_of_a_study_take_the_place_of_the_built_in_ones(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "zero-shot.txt").write_bytes("\ufeffFrage: {item}\r\n{instructions}\r\n".encode())
    found = read_templates(tmp_path)
    assert found["zero-shot"].fill(VALUES) == "Frage: I\nN"
    assert found["zero-shot"].source == "prompts/zero-shot.txt"
    assert found["distribution"] == DEFAULTS["distribution"]


def test_every_fault_in_every_template_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "zero_shot.txt").write_text("{item}{instructions}")
    (tmp_path / "prompts" / "distribution.txt").write_text("{mix}{item}{instructions}{x}")
    (tmp_path / "prompts" / "again.txt").write_bytes(b"\x81\xff\x00\x9d")
    with pytest.raises(StudyError) as caught:
        read_templates(tmp_path)
    by_file = {finding.file: finding for finding in caught.value.findings}
    assert set(by_file) == {"prompts/zero_shot.txt", "prompts/distribution.txt", "prompts/again.txt"}
    assert by_file["prompts/zero_shot.txt"].nearest == "zero-shot.txt"


def test_the_hash_is_of_the_words_alone() -> None:
    same = Template("zero-shot", DEFAULTS["zero-shot"].text, "prompts/zero-shot.txt")
    assert same.sha256 == DEFAULTS["zero-shot"].sha256
    assert same.sha256 != DEFAULTS["distribution"].sha256
