"""Who the participants are: typed profile columns, and their encoding as numbers for a model.

Shapes: N participants, C profile columns, V width of the encoding v_NV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.errors import MismatchError, UnknownNameError

Kind = Literal["categorical", "ordinal", "numeric"]
KINDS: tuple[Kind, ...] = ("categorical", "ordinal", "numeric")


@dataclass(frozen=True)
class ProfileColumn:
    """One profile column: its kind and, unless numeric, its levels (in order for ordinal ones).

    label: the column in words, for persona prompts and reports; the name where empty.
    """

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()
    label: str = ""

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"kind": self.kind}
        if self.levels:
            out["levels"] = list(self.levels)
        if self.label:
            out["label"] = self.label
        return out


@dataclass(frozen=True)
class Profiles:
    """N participants with their profiles.

    ids: (N,) text ids, unique.
    values_NC: (N, C) float; the position of the level for categorical and ordinal columns, the number itself for
        numeric ones, NaN where missing. Missing values stay missing: nothing fills them in.
    """

    columns: tuple[ProfileColumn, ...]
    ids: NDArray[np.object_]
    values_NC: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values_NC.shape != (len(self.ids), len(self.columns)):
            raise ValueError(f"values_NC has shape {self.values_NC.shape}, not {(len(self.ids), len(self.columns))}")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.int64]) -> Profiles:
        """The participants at these positions, in this order."""
        rows = np.asarray(rows, dtype=np.int64)
        return Profiles(self.columns, self.ids[rows], self.values_NC[rows])

    def position(self, name: str) -> int:
        """Where a column stands; raises UnknownNameError with the valid names."""
        names = [c.name for c in self.columns]
        if name not in names:
            raise UnknownNameError("profile column", name, names)
        return names.index(name)

    def to_frame(self) -> pd.DataFrame:
        """One row per participant, levels as words, index = ids."""
        frame = pd.DataFrame(index=pd.Index(self.ids, name="participant"))
        for c, column in enumerate(self.columns):
            values = self.values_NC[:, c]
            if column.kind == "numeric":
                frame[column.name] = values
            else:
                levels = np.array([*column.levels, None], dtype=object)
                codes = np.where(np.isnan(values), len(column.levels), values).astype(int)
                frame[column.name] = levels[codes]
        return frame

    @staticmethod
    def from_frame(frame: pd.DataFrame, columns: tuple[ProfileColumn, ...]) -> Profiles:
        """From a frame whose index holds the ids and whose columns hold levels (as words) or numbers.

        Raises UnknownNameError for a level that its column does not declare.
        """
        values = np.full((len(frame), len(columns)), np.nan)
        for c, column in enumerate(columns):
            raw = frame[column.name]
            if column.kind == "numeric":
                values[:, c] = raw.to_numpy(dtype=float, na_value=np.nan)
                continue
            position = {level: float(i) for i, level in enumerate(column.levels)}
            for row, cell in enumerate(raw):
                if pd.isna(cell):
                    continue
                if str(cell) not in position:
                    raise UnknownNameError("level", str(cell), column.levels, f"profile column {column.name!r}")
                values[row, c] = position[str(cell)]
        return Profiles(columns, frame.index.to_numpy(dtype=object), values)


@dataclass(frozen=True)
class ProfileEncoder:
    """The map from profiles to v_NV, learned on the training people only.

    Categorical columns become one-hot; ordinal ones the level's rank standardised, plus one-hot (so that a
    non-linear trend can be told); numeric ones are standardised and clipped at ±4. Every column adds an
    indicator that its value is missing. `center` and `scale` hold one number per column (0 and 1 for categorical).
    """

    columns: tuple[ProfileColumn, ...]
    center_C: tuple[float, ...]
    scale_C: tuple[float, ...]

    @staticmethod
    def fit(profiles: Profiles) -> ProfileEncoder:
        center, scale = [], []
        for c, column in enumerate(profiles.columns):
            seen = profiles.values_NC[:, c]
            seen = seen[~np.isnan(seen)]
            usable = column.kind != "categorical" and len(seen) > 0
            center.append(float(seen.mean()) if usable else 0.0)
            spread = float(seen.std()) if usable else 1.0
            scale.append(spread if spread > 0 else 1.0)
        return ProfileEncoder(profiles.columns, tuple(center), tuple(scale))

    @property
    def names(self) -> tuple[str, ...]:
        """What each of the V numbers means."""
        out: list[str] = []
        for column in self.columns:
            out += [f"{column.name}={level}" for level in column.levels]
            out += [column.name] if column.kind != "categorical" else []
            out += [f"{column.name}?missing"]
        return tuple(out)

    def encode(self, profiles: Profiles) -> NDArray[np.float32]:
        """v_NV for these people; raises MismatchError when their columns are not the ones learned from."""
        require_same_columns(self.columns, profiles.columns)
        parts: list[NDArray[np.float64]] = []
        for c, column in enumerate(self.columns):
            values = profiles.values_NC[:, c]
            missing = np.isnan(values)
            if column.levels:
                parts.append((values[:, None] == np.arange(len(column.levels))).astype(float))
            if column.kind != "categorical":
                z = np.clip((values - self.center_C[c]) / self.scale_C[c], -4, 4)
                parts.append(np.where(missing, 0.0, z)[:, None])
            parts.append(missing.astype(float)[:, None])
        if not parts:
            return np.zeros((len(profiles), 0), dtype=np.float32)
        return np.concatenate(parts, axis=1).astype(np.float32)


def require_same_columns(expected: tuple[ProfileColumn, ...], given: tuple[ProfileColumn, ...]) -> None:
    """Raise MismatchError naming the profile columns that differ."""
    by_name = {c.name: c for c in given}
    for column in expected:
        other = by_name.get(column.name)
        if other is None:
            raise MismatchError(
                f"profile column {column.name!r} is missing; the study has {', '.join(by_name) or 'none'}"
            )
        if (other.kind, other.levels) != (column.kind, column.levels):
            raise MismatchError(
                f"profile column {column.name!r} differs: expected {column.kind} {list(column.levels)}, "
                f"the study has {other.kind} {list(other.levels)}"
            )
    extra = [name for name in by_name if name not in {c.name for c in expected}]
    if extra:
        raise MismatchError(f"profile columns the model does not know: {', '.join(extra)}")
    if [c.name for c in expected] != [c.name for c in given]:
        raise MismatchError(f"profile columns are in another order: expected {', '.join(c.name for c in expected)}")
