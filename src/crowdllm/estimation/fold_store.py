"""Keep what each fold of a cross-fit gave, so that a stopped run goes on where it was: one .npz file per fold.

The files hold numbers only (no pickle) and are written by rename. Their names begin with a hash of everything they
depend on, so that another study, model or setting never finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from crowdllm.responses.protocol import Array


@dataclass(frozen=True)
class FoldStore:
    """folder: where the files are. identity: everything that the numbers depend on, as text."""

    folder: Path
    identity: str

    def path(self, name: str) -> Path:
        """The file of a fold."""
        return self.folder / f"{sha256(self.identity.encode()).hexdigest()[:16]}-{name}.npz"

    def read(self, name: str) -> dict[str, Array] | None:
        """The arrays of a fold; None where it has not been done, or its file is damaged."""
        try:
            with np.load(self.path(name), allow_pickle=False) as held:
                return {key: held[key] for key in held.files}
        except (OSError, EOFError, ValueError, BadZipFile, KeyError, NotImplementedError, RuntimeError):
            return None

    def write(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Keep the arrays of a fold."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".tmp")
        with fresh.open("wb") as file:
            np.savez(file, **arrays)
        fresh.replace(path)
