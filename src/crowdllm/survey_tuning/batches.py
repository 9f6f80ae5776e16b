"""The order in which cells are trained on: micro-batches of one answer set and similar length, put together into steps.

Keyed by seed and epoch, so that a run that continues sees the same batches. A step is `batch_size // micro_batch`
micro-batches, whose gradients are accumulated; the last one of an epoch may be smaller.

Shapes: C cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowdllm.config import TuneConfig
from crowdllm.rng import generator
from crowdllm.survey_tuning.cells import Cells

Index = NDArray[np.int64]
WINDOW = 16  # micro-batches among which cells are sorted by length


def epoch_steps(cells: Cells, config: TuneConfig, seed: int, epoch: int) -> list[list[Index]]:
    """The steps of an epoch; each is a list of micro-batches, each the positions of its cells."""
    rng = generator(seed, f"tuning:order:{epoch}")
    length_C = np.array([len(prompt) for prompt in cells.prompts])
    size = min(config.micro_batch, config.batch_size)
    micro: list[Index] = []
    for number in range(len(cells.sets)):
        order = rng.permutation(np.flatnonzero(cells.set_C == number))
        for start in range(0, len(order), WINDOW * size):
            window = order[start : start + WINDOW * size]
            window = window[np.argsort(-length_C[window], kind="stable")]
            micro += [window[k : k + size] for k in range(0, len(window), size)]
    shuffled = [micro[i] for i in rng.permutation(len(micro))]
    together = max(1, config.batch_size // size)
    return [shuffled[k : k + together] for k in range(0, len(shuffled), together)]


def steps_per_epoch(cells: Cells, config: TuneConfig) -> int:
    return len(epoch_steps(cells, config, 0, 0))


def learning_rate(config: TuneConfig, step: int, steps: int) -> float:
    """The rate of a step (counted from 0) of so many: a linear rise, then as the schedule says."""
    rise = round(config.warmup * steps)
    if step < rise:
        return config.learning_rate * (step + 1) / rise
    part = (step - rise) / max(1, steps - rise)
    if config.schedule == "linear":
        return config.learning_rate * (1 - 0.9 * part)
    if config.schedule == "cosine":
        return config.learning_rate * (0.1 + 0.45 * (1 + float(np.cos(np.pi * part))))
    return config.learning_rate


def sequential(cells: Cells, size: int) -> list[Index]:
    """All cells once, in batches of one answer set, long prompts first."""
    length_C = np.array([len(prompt) for prompt in cells.prompts])
    out: list[Index] = []
    for number in range(len(cells.sets)):
        rows = np.flatnonzero(cells.set_C == number)
        rows = rows[np.argsort(-length_C[rows], kind="stable")]
        out += [rows[k : k + size] for k in range(0, len(rows), size)]
    return out
