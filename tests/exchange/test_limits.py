"""Files that were made to do harm are refused before they take memory."""

from __future__ import annotations

import zipfile
from pathlib import Path

import openpyxl
import pytest

from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.importing import import_study
from crowdllm.exchange.limits import DamagedFileError, open_archive, read_bytes, read_json
from crowdllm.exchange.workbook import read_workbook


def plain_workbook(path: Path) -> Path:
    book = openpyxl.Workbook()
    book.active.append(["user", "item", "rating"])
    book.save(path)
    return path


def with_member(path: Path, name: str, content: bytes) -> None:
    """The workbook with one member replaced."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members[name] = content
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(member, data)


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    """300 MB of blanks in 300 kB."""
    path = plain_workbook(tmp_path / "bomb.xlsx")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/media/a.bin", "w") as member:
        for _ in range(300):
            member.write(b" " * 1_000_000)
    with pytest.raises(DamagedFileError, match="would unpack to 300 MB"):
        import_study(path)


def test_a_member_that_packs_too_well_is_refused(tmp_path: Path) -> None:
    path = plain_workbook(tmp_path / "bomb.xlsx")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", b" " * 5_000_000)
    with pytest.raises(DamagedFileError, match="200 times its size"):
        open_archive(path)


def test_entities_in_a_workbook_are_refused(tmp_path: Path) -> None:
    path = plain_workbook(tmp_path / "a.xlsx")
    bomb = b'<?xml version="1.0"?><!DOCTYPE sst [<!ENTITY a "aaaa">]><sst><si><t>&a;</t></si></sst>'
    with_member(path, "xl/sharedStrings.xml", bomb)
    with pytest.raises(DamagedFileError, match="entities"):
        read_workbook(path)


def test_xml_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.lss"
    path.write_text("<a>" * 100_000)
    with pytest.raises(DamagedFileError, match="nested more than"):
        import_study(path)


def test_a_cell_a_million_rows_down_costs_nothing(tmp_path: Path) -> None:
    path = plain_workbook(tmp_path / "a.xlsx")
    sheet = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="B1048576"><v>2</v></c></row>'
        b"</sheetData></worksheet>"
    )
    with_member(path, "xl/worksheets/sheet1.xml", sheet)
    (found,) = read_workbook(path)
    assert (found.rows, found.row_R) == ([["1", ""], ["", "2"]], [1, 1_048_576])


def test_a_sheet_that_is_mostly_empty_is_refused(tmp_path: Path) -> None:
    """A diagonal of 3,000 cells would be a table of nine million."""
    path = plain_workbook(tmp_path / "a.xlsx")

    def letters(column: int) -> str:
        return (letters(column // 26 - 1) if column >= 26 else "") + chr(65 + column % 26)

    rows = "".join(f'<row r="{i}"><c r="{letters(i)}{i}"><v>1</v></c></row>' for i in range(1, 3_001))
    with_member(path, "xl/worksheets/sheet1.xml", f"<worksheet><sheetData>{rows}</sheetData></worksheet>".encode())
    with pytest.raises(DamagedFileError, match="mostly empty"):
        read_workbook(path)


def test_a_file_above_the_limit_is_refused_and_the_limit_can_be_raised(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user,item,rating\n" + "u1,a,3\n" * 200_000)
    with pytest.raises(DamagedFileError, match="at most 1 MB .*--max-megabytes"):
        import_study(path, max_megabytes=1)
    assert len(read_bytes(path, 2)) == 17 + 7 * 200_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply|no valid JSON"),
        ('{"a": NaN}', "NaN is no JSON"),
        ('{"a": ', "no valid JSON"),
        ("", "no valid JSON"),
    ],
)
def test_json_that_is_none_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DamagedFileError, match=words):
        read_json(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n" + "1\n" * 5_000, "rows have not 2 cells"),
        ("," * 20_000 + "\n1\n", "20,001 columns"),
        ("", "is empty"),
        ("   \n \n", "is empty"),
        ('a,b\n"1,2\n', "quote"),
        ("a,b\n", "no rows"),
        ("a\0b\0\n" * 5, "UTF-16|no text"),
        ("a,b\n1,2,3\n4,5\n", "3 cells where the header has 2"),
    ],
)
def test_a_table_that_is_none_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(CrowdLLMError, match=words):
        import_study(path, "csv")


def test_more_cells_than_the_limit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + ",\n" * 100_000)
    with pytest.raises(DamagedFileError, match="more than 83,333 cells"):
        import_study(path, "csv", max_megabytes=1)
