"""Target margins as a TOML file; a crowd that was recruited to margins keeps one in its folder.

A table per profile column, with the share of each group:

    [district]
    centre = 0.3
    suburb = 0.7

    [age]                     # a numeric column: shares of ranges
    "18-39" = 0.45
    "40+" = 0.55
"""

from __future__ import annotations

from pathlib import Path

from crowdllm.data.study_toml import read_toml, toml_key, toml_text
from crowdllm.errors import ConfigError
from crowdllm.profiles.raking import Margins

MARGINS_FILE = "margins.toml"


def read_margins(path: Path) -> Margins:
    """The target shares in a TOML file; raises ConfigError for what is no table of numbers per column."""
    raw = read_toml(path)
    for column, shares in raw.items():
        if not isinstance(shares, dict) or not shares:
            raise ConfigError(f"{path}: {column!r} must be a table such as [{column}], with a share per group")
    return raw


def margins_text(margins: Margins) -> str:
    """These margins as such a file."""
    return toml_text({toml_key(column): shares for column, shares in margins.items()})
