"""Numbers in a command-line option, separated by commas."""

from __future__ import annotations

import math

from crowdllm.errors import ConfigError


def numbers(text: str, option: str, whole: bool = False) -> list[float]:
    """The numbers in `text`; raises ConfigError naming the option and the part that is none."""
    out = []
    for part in text.split(","):
        try:
            value = float(part)
        except ValueError:
            raise ConfigError(f"{option}: {part.strip()!r} is not a number; write for example 20,1000") from None
        if not math.isfinite(value):
            raise ConfigError(f"{option}: {part.strip()!r} is not a finite number")
        if whole and value != int(value):
            raise ConfigError(f"{option}: {part.strip()!r} is not a whole number")
        out.append(value)
    return out
