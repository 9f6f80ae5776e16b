"""A folder of results: what it is for, said in one file, and tables that are whole or not there at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from crowdllm.errors import CrowdLLMError


def claim_folder(path: Path, identity: Mapping[str, Any], what: str) -> None:
    """Write `identity` (JSON values) to `path`, or check that it is what stands there.

    what: what the folder holds, such as "comparison". Raises CrowdLLMError where it holds another one, and names what
    differs.
    """
    wanted = json.loads(json.dumps(identity))  # as it reads back: tuples are lists
    if not path.exists():
        write_text(json.dumps(wanted, indent=1) + "\n", path)
        return
    try:
        held = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise CrowdLLMError(f"{path} is damaged; give another --out, or delete that folder") from None
    differ = [key for key in wanted if held.get(key) != wanted[key]]
    if differ:
        raise CrowdLLMError(
            f"{path.parent} holds another {what} ({', '.join(f'{k}: {_short(held.get(k))}' for k in differ)}); "
            "give another --out, or delete that folder"
        )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 300 else text[:297] + "..."


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table by rename; missing numbers as `nan`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".tmp")
    table.to_csv(fresh, index=False, na_rep="nan")
    fresh.replace(path)


def read_csv(path: Path) -> pd.DataFrame:
    """A table as `write_csv` wrote it: empty texts stay empty texts."""
    return pd.read_csv(path, keep_default_na=False, na_values=["nan"])


def write_text(text: str, path: Path) -> None:
    """Write a text by rename; characters that UTF-8 cannot hold become their codes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".tmp")
    fresh.write_text(text, encoding="utf-8", errors="backslashreplace")
    fresh.replace(path)
