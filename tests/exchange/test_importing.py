"""Finding the reader, and writing what was read as a study that `crowdllm check` accepts."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from crowdllm.data.study_check import check_study
from crowdllm.data.study_folder import load_study
from crowdllm.errors import ConfigError, CrowdLLMError, UnknownNameError
from crowdllm.exchange import READERS
from crowdllm.exchange.importing import find_reader, glance, import_study
from crowdllm.exchange.protocol import Reader
from crowdllm.exchange.writing import report_text, write_imported
from crowdllm.registry import lookup

Files = Callable[[str], list[list[Path]]]
LONG = "user,item,rating\n" + "".join(f"u{i},t{t},{(i + t) % 5 + 1}\n" for i in range(5) for t in range(4))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text(LONG)
    return path


@pytest.mark.parametrize("name", READERS)
def test_a_reader_goes_by_the_name_it_is_registered_under(name: str) -> None:
    reader: Reader = lookup(READERS, name, "format")
    assert reader.name == name
    assert reader.title


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"\xff" * 100, b"PK\x03\x04", b"PK\x03\x04" * 50, b"{", b"<", b"$FL2"]
)
def test_a_look_never_raises(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    for name in READERS:
        reader: Reader = lookup(READERS, name, "format")
        assert 0 <= reader.sniff([glance(path)]) <= 100


def test_what_nobody_recognises_is_refused_with_the_formats(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"\x00\x01\x02")
    with pytest.raises(CrowdLLMError, match="--from, one of .*qualtrics"):
        find_reader([path])


def test_an_unknown_format_lists_the_nearest(table: Path) -> None:
    with pytest.raises(UnknownNameError, match="'qualtrix'.*did you mean 'qualtrics'"):
        import_study(table, "qualtrix")


def test_a_file_that_is_not_there_names_the_nearest(table: Path) -> None:
    with pytest.raises(CrowdLLMError, match=r"rating\.csv: there is no such file; did you mean 'ratings\.csv'"):
        import_study(table.with_name("rating.csv"))


def test_one_scale_is_one_study_in_the_folder_itself(table: Path, tmp_path: Path) -> None:
    imported = import_study(table, out=tmp_path / "out")
    loaded = load_study(tmp_path / "out")
    assert (len(loaded.profiles), len(loaded.problems), len(loaded.responses)) == (5, 4, 20)
    assert imported.counts == {"ordinal": (5, 4, 20)}
    assert imported.format == "csv"
    assert not list(tmp_path.glob(".*"))  # nothing half-written is left


def test_several_scales_are_a_folder_each_with_the_same_people(sample_files: Files, tmp_path: Path) -> None:
    imported = import_study(sample_files("csv")[0])
    folders = write_imported(imported, tmp_path / "out")
    assert [folder.name for folder in folders] == [part.name for part in imported.parts]
    for folder, part in zip(folders, imported.parts, strict=True):
        assert check_study(folder).usable
        assert load_study(folder).title == f"wide ({part.name})"
        assert list(load_study(folder).profiles.ids) == list(imported.study.profiles.ids)
    report = (tmp_path / "out" / "IMPORT.md").read_text(encoding="utf-8")
    assert "- column email: e-mail addresses, 40 cells (by name)" in report
    texts = (tmp_path / "out" / "free_text.csv").read_text(encoding="utf-8").splitlines()
    assert texts[:2] == ["participant,question,text", 'p01,comments,"fine, says number 0"']


def test_a_folder_with_something_in_it_is_left_alone(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"not empty \(it has mine\.txt\).*--force"):
        import_study(table, out=out)
    import_study(table, out=out, force=True)
    assert (out / "mine.txt").read_text() == "mine"
    assert check_study(out).usable
    with pytest.raises(ConfigError, match="is a file"):
        import_study(table, out=table)


def test_the_report_shows_texts_of_the_file_and_obeys_none(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [f"u{i},t{t},{i % 3 + 1},{i * 5 + t}" for i in range(3) for t in range(3)]
    path.write_text("user,item,rating,<script>alert(1)</script> [x](http://y)\n" + "\n".join(lines) + "\n")
    report = report_text(import_study(path))
    assert r"\<script\>alert(1)\</script\> \[x\](http://y)" in report
    assert "<script>" not in report


@pytest.mark.parametrize(("format", "group"), [("qualtrics", 3), ("mturk", 0)])
def test_exports_in_utf_16_with_tabs_are_recognised(
    format: str, group: int, sample_files: Callable[[str], list[list[Path]]], tmp_path: Path
) -> None:
    """As Qualtrics writes its TSV."""
    (path,) = sample_files(format)[group]
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    text = io.StringIO()
    csv.writer(text, delimiter="\t").writerows(rows)
    (tmp_path / "export.tsv").write_bytes(text.getvalue().encode("utf-16"))
    found, expected = import_study(tmp_path / "export.tsv"), import_study(path)
    assert found.format == format
    assert found.counts == expected.counts
