"""Target margins as a file: what is written is what is read, whatever columns and groups are called."""

from __future__ import annotations

from pathlib import Path

from crowdllm.profiles.margins_file import margins_text, read_margins


def test_margins_are_read_back_in_their_order(tmp_path: Path) -> None:
    margins = {"way to work": {'"bus"': 0.25, "a.b": 0.75}, "x.y]": {"40+": 0.5, "<40": 0.5}}
    (tmp_path / "margins.toml").write_text(margins_text(margins), encoding="utf-8")
    read = read_margins(tmp_path / "margins.toml")
    assert read == margins
    assert [list(shares) for shares in read.values()] == [list(shares) for shares in margins.values()]
