"""The ledger: only whole parts count, whatever moment a run was stopped at."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from crowdllm.errors import CrowdLLMError
from crowdllm.simulation import ledger
from crowdllm.simulation.ledger import (
    LEDGER,
    alone,
    close_ledger,
    keep_part,
    make_room,
    mend_ledger,
    read_ledger,
    sound,
    write_whole,
)
from crowdllm.simulation.parts import Part


def part(index: int, text: str = "rows") -> Part:
    return Part(index, {f"responses/{index}": f"{text} {index}".encode(), f"tallies/{index}": b"counts"}, 3, 6, 6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_room(tmp_path, ("responses", "tallies"))
    return tmp_path


def test_parts_that_were_kept_are_read_back(folder: Path) -> None:
    kept = {index: keep_part(folder, part(index)) for index in (2, 0, 1)}
    assert read_ledger(folder) == kept
    assert all(sound(folder, entry) for entry in kept.values())
    assert kept[2].files["responses/2"]["bytes"] == len("rows 2")
    assert (kept[2].people, kept[2].simulated, kept[2].stored) == (3, 6, 6)


def test_without_a_ledger_nothing_is_done(folder: Path) -> None:
    assert read_ledger(folder) == {}
    mend_ledger(folder)
    assert not (folder / LEDGER).exists()


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_a_line_that_was_cut_short_does_not_count_and_is_cut_away(folder: Path, cut: int) -> None:
    first = keep_part(folder, part(0))
    keep_part(folder, part(1))
    whole = (folder / LEDGER).read_bytes()
    (folder / LEDGER).write_bytes(whole[:-cut])
    assert read_ledger(folder) == {0: first}
    mend_ledger(folder)
    again = keep_part(folder, part(1))
    assert read_ledger(folder) == {0: first, 1: again}
    assert (folder / LEDGER).read_bytes() == whole


def test_a_line_of_garbage_is_passed_over(folder: Path) -> None:
    kept = keep_part(folder, part(0))
    with (folder / LEDGER).open("ab") as file:
        file.write(b"\x00\xff not json\n[1, 2]\n" + b'{"part": 1}\n')
    assert read_ledger(folder) == {0: kept}


def test_the_later_of_two_lines_counts(folder: Path) -> None:
    keep_part(folder, part(0, "old"))
    new = keep_part(folder, part(0, "new"))
    assert read_ledger(folder) == {0: new}


def test_a_closed_ledger_has_one_line_per_part_in_their_order(folder: Path) -> None:
    for index in (2, 0, 1, 0):
        keep_part(folder, part(index))
    close_ledger(folder, read_ledger(folder))
    assert list(read_ledger(folder)) == [0, 1, 2]
    assert (folder / LEDGER).read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("damage", ["missing", "truncated", "one bit", "longer"])
def test_a_damaged_part_is_not_sound(folder: Path, damage: str) -> None:
    entry = keep_part(folder, part(0))
    path = folder / "responses" / "0"
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        changed = {"truncated": data[:-1], "one bit": bytes([data[0] ^ 1]) + data[1:], "longer": data + b" "}
        path.write_bytes(changed[damage])
    assert not sound(folder, entry)


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(folder / "a", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(folder / "a", b"new")
    assert (folder / "a").read_bytes() == b"old"
    assert [p.name for p in folder.iterdir() if p.is_file()] == ["a"]


def test_a_part_whose_files_cannot_all_be_written_does_not_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keep_part(folder, part(0))
    real, calls = ledger.write_whole, []

    def second_fails(path: Path, data: bytes) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, data)

    monkeypatch.setattr(ledger, "write_whole", second_fails)
    with pytest.raises(OSError, match="No space"):
        keep_part(folder, part(1))
    assert read_ledger(folder) == {0: kept}


def test_what_a_killed_run_left_half_written_is_cleared(folder: Path) -> None:
    kept = keep_part(folder, part(0))
    for place in (folder / ".meta.json.fresh", folder / "responses" / ".7.fresh"):
        place.write_bytes(b"half")
    make_room(folder, ("responses", "tallies"))
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == ["0", "0", LEDGER]
    assert sound(folder, kept)


def test_two_cannot_write_to_one_folder(folder: Path) -> None:
    pytest.importorskip("fcntl")
    with alone(folder), pytest.raises(CrowdLLMError, match="another crowdllm writes to"), alone(folder):
        pass
    with alone(folder):
        pass
