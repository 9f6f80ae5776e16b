"""Shares made apart and joined: the folder of one run, and a refusal in words for whatever does not belong together."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crowdllm.errors import CrowdLLMError
from crowdllm.experiments.sources import open_study
from crowdllm.simulation import merge
from crowdllm.simulation.merge import merge_crowds
from crowdllm.simulation.plan import Settings, Shard
from crowdllm.simulation.stream import stream_crowd

Saved = Callable[[str], Any]
Contents = Callable[[Path], dict[str, bytes]]
pytestmark = pytest.mark.usefixtures("small_parts")


def share(saved: Saved, out: Path, number: int, of: int, kind: str = "ordinal", **settings: Any) -> Path:
    model, meta, _ = saved(kind)
    stream_crowd(model, meta, model.items, Settings(**{"participants": 75} | settings), out, shard=Shard(number, of))
    return out


@pytest.mark.parametrize("kind", ["ordinal", "choice", "continuous", "approval"])
@pytest.mark.parametrize("sample", [0.0, 0.5, 1.0])
def test_joined_shares_are_the_folder_of_one_run(
    saved: Saved, tmp_path: Path, contents: Contents, kind: str, sample: float
) -> None:
    share(saved, tmp_path / "whole", 1, 1, kind, sample=sample)
    shares = [share(saved, tmp_path / str(n), n, 3, kind, sample=sample) for n in (1, 2, 3)]
    before = [contents(folder) for folder in shares]
    report = merge_crowds(shares[::-1], tmp_path / "joined")
    assert (report.parts, report.people, report.new) == (8, 75, 8)
    assert contents(tmp_path / "joined") == contents(tmp_path / "whole")
    assert [contents(folder) for folder in shares] == before


def test_shares_may_be_cut_differently(saved: Saved, tmp_path: Path, contents: Contents) -> None:
    share(saved, tmp_path / "whole", 1, 1)
    shares = [share(saved, tmp_path / f"{n}-{of}", n, of) for n, of in ((1, 2), (2, 4), (4, 4))]
    merge_crowds(shares, tmp_path / "joined")
    assert contents(tmp_path / "joined") == contents(tmp_path / "whole")


def test_files_are_copied_where_they_cannot_be_linked(
    saved: Saved, tmp_path: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> None:
        raise OSError("another device")

    monkeypatch.setattr(merge.os, "link", cannot)
    shares = [share(saved, tmp_path / str(n), n, 2) for n in (1, 2)]
    merge_crowds(shares, tmp_path / "joined")
    monkeypatch.undo()
    part = "responses/part-000000.parquet"
    assert (tmp_path / "joined" / part).stat().st_ino != (shares[0] / part).stat().st_ino
    assert contents(tmp_path / "joined")[part] == contents(shares[0])[part]


def test_a_missing_share_is_named(saved: Saved, tmp_path: Path) -> None:
    shares = [share(saved, tmp_path / str(n), n, 4) for n in (1, 3)]
    with pytest.raises(CrowdLLMError, match="part 1 and 3 more of 8 is missing: add the folder of share 2/4, 4/4"):
        merge_crowds(shares, tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_a_share_given_twice_is_named(saved: Saved, tmp_path: Path) -> None:
    shares = [share(saved, tmp_path / str(n), n, 2) for n in (1, 2)]
    shutil.copytree(shares[0], tmp_path / "copy")
    with pytest.raises(
        CrowdLLMError, match=r"part 0 and 3 more is both in .*1 \(share 1/2\) and in .*copy \(share 1/2\)"
    ):
        merge_crowds([*shares, tmp_path / "copy"], tmp_path / "joined")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"participants": 80}, "participants is 75 there and 80 here"),
        ({"sample": 0.5}, "sample is 1.0 there and 0.5 here"),
        ({"kind": "bounded"}, "the model is another"),
    ],
)
def test_a_share_of_another_run_is_refused_with_what_differs(
    saved: Saved, tmp_path: Path, other: Any, words: str
) -> None:
    first, second = share(saved, tmp_path / "1", 1, 2), share(saved, tmp_path / "2", 2, 2, **other)
    with pytest.raises(CrowdLLMError, match="is of another run than") as refusal:
        merge_crowds([first, second], tmp_path / "joined")
    assert words in str(refusal.value)
    assert not (tmp_path / "joined").exists()


def test_an_unfinished_share_is_refused(saved: Saved, tmp_path: Path) -> None:
    first, second = (share(saved, tmp_path / str(n), n, 2) for n in (1, 2))
    ledger = second / "parts.jsonl"
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:3]))
    with pytest.raises(
        CrowdLLMError, match=r"share 2/2 in .* is not finished \(3 of 4 parts\): give its command again"
    ):
        merge_crowds([first, second], tmp_path / "joined")


def test_a_damaged_share_is_refused_and_mended_by_its_command(saved: Saved, tmp_path: Path, contents: Contents) -> None:
    shares = [share(saved, tmp_path / str(n), n, 2) for n in (1, 2)]
    place = shares[1] / "responses" / "part-000005.parquet"
    place.write_bytes(place.read_bytes()[:-1])
    with pytest.raises(CrowdLLMError, match="part 5 in .*2 is damaged: give the command of share 2/2 again"):
        merge_crowds(shares, tmp_path / "joined")
    share(saved, tmp_path / "2", 2, 2)
    merge_crowds(shares, tmp_path / "joined")
    share(saved, tmp_path / "whole", 1, 1)
    assert contents(tmp_path / "joined") == contents(tmp_path / "whole")


def test_other_folders_are_refused(saved: Saved, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    first, second = (share(saved, tmp_path / str(n), n, 2) for n in (1, 2))
    with pytest.raises(CrowdLLMError, match="holds no simulated crowd"):
        merge_crowds([tmp_path / "empty"], tmp_path / "joined")
    with pytest.raises(CrowdLLMError, match="is one of the shares"):
        merge_crowds([first, second], second)
    with pytest.raises(CrowdLLMError, match="something other than a simulated crowd"):
        merge_crowds([first, second], saved("ordinal").folder)


def test_a_share_alone_is_no_study_to_work_with(saved: Saved, tmp_path: Path) -> None:
    share(saved, tmp_path / "1", 1, 2)
    with pytest.raises(CrowdLLMError, match=r"holds share 1/2 of a crowd; join all shares with: crowdllm merge"):
        open_study(str(tmp_path / "1"))


def test_a_share_without_parts_is_complete(saved: Saved, tmp_path: Path, contents: Contents) -> None:
    shares = [share(saved, tmp_path / str(n), n, 9) for n in range(1, 10)]
    merge_crowds(shares, tmp_path / "joined")
    share(saved, tmp_path / "whole", 1, 1)
    assert contents(tmp_path / "joined") == contents(tmp_path / "whole")
