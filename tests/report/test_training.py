"""The picture of a fit: the losses of every epoch, the chosen number of epochs, and nothing for an empty history."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from crowdllm.belief.training import EpochTerms
from crowdllm.report.training import draw_training

HISTORY = [EpochTerms("search", e + 1, 0.1 * e, 1.5 - 0.1 * e, 0.0, 1.6 - 0.05 * e) for e in range(4)] + [
    EpochTerms("fit", e + 1, 0.1 * e, 1.5 - 0.1 * e, 0.0, float("nan")) for e in range(3)
]


def test_the_curves_are_those_of_the_search_and_the_mark_is_the_chosen_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    kept: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *arguments: object, **options: object) -> None:
        kept.append(self)
        save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    path = draw_training(HISTORY, tmp_path / "training.svg")
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    loss, kl = kept[0].axes
    training, held_out, chosen = loss.lines
    assert list(training.get_ydata()) == pytest.approx([1.5, 1.4, 1.3, 1.2])
    assert list(held_out.get_ydata()) == pytest.approx([1.6, 1.55, 1.5, 1.45])
    assert chosen.get_xdata()[0] == 3
    assert list(kl.lines[0].get_ydata()) == pytest.approx([0, 0.1, 0.2, 0.3])


def test_a_fit_without_epochs_has_a_picture_all_the_same(tmp_path: Path) -> None:
    assert draw_training((), tmp_path / "training.svg").stat().st_size > 0
