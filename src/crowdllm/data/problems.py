"""The problems people are asked about: an id, a description, the options where there are any, other columns.

Shapes: T problems, M the largest number of options.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from crowdllm.responses.protocol import ResponseType


@dataclass(frozen=True)
class Problems:
    """T problems in a fixed order.

    ids: (T,) text ids, unique.
    texts: (T,) descriptions x_t as shown to people.
    options: per problem its option texts; empty tuples for response types without options.
    attributes: (T, any) further columns, kept as they were read (such as the scale an item belongs to).
    """

    ids: NDArray[np.object_]
    texts: NDArray[np.object_]
    options: tuple[tuple[str, ...], ...] = ()
    attributes: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        count = len(self.ids)
        if not self.options:
            object.__setattr__(self, "options", ((),) * count)
        if self.attributes.empty and len(self.attributes) != count:
            object.__setattr__(self, "attributes", pd.DataFrame(index=range(count)))
        if not (len(self.texts) == len(self.options) == len(self.attributes) == count):
            raise ValueError("ids, texts, options and attributes must have one entry per problem")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def option_counts(self) -> NDArray[np.int64]:
        """(T,) number of options of each problem; zeros for types without options."""
        return np.array([len(o) for o in self.options], dtype=np.int64)

    def take(self, rows: NDArray[np.int64]) -> Problems:
        """The problems at these positions, in this order."""
        rows = np.asarray(rows, dtype=np.int64)
        return Problems(
            ids=self.ids[rows],
            texts=self.texts[rows],
            options=tuple(self.options[i] for i in rows),
            attributes=self.attributes.iloc[rows].reset_index(drop=True),
        )


def widest(problems: Problems, response_type: ResponseType) -> int:
    """The most options of any problem, here or in the study that the scale was read from; 0 for scales.

    Responses, utilities and shares have this many columns, so that parts of a study fit together.
    """
    return max(int(problems.option_counts.max(initial=0)), int(getattr(response_type, "max_options", 0)))
