"""An API key that shows itself nowhere: read from the environment, and given only to the request that carries it.

A key is never an argument, a setting or a field that a repr shows; texts that come back from a server pass `scrubbed`
before anybody sees or stores them, since some servers repeat the key in their error messages.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from crowdllm.errors import ConfigError

SHOWN = "[API key]"


class Key:
    """A secret behind a function: neither repr, str nor a dump of local variables shows it. False where there is none.

    variable: the environment variable that it is from.
    """

    __slots__ = ("_reveal", "variable")

    def __init__(self, variable: str, reveal: Callable[[], str]) -> None:
        self.variable, self._reveal = variable, reveal

    def __repr__(self) -> str:
        return f"Key({self.variable!r}, {'set' if self else 'none'})"

    def __bool__(self) -> bool:
        return bool(self._reveal())

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key is not written anywhere")

    def bearer(self) -> str:
        """The value of the Authorization header."""
        return f"Bearer {self._reveal()}"

    def sendable(self) -> bool:
        return all("!" <= c <= "~" for c in self._reveal())

    def scrubbed(self, text: str) -> str:
        """The text with the key replaced wherever it stands in it."""
        return text.replace(self._reveal(), SHOWN) if self else text

    def scrubbed_bytes(self, content: bytes) -> bytes:
        """Like `scrubbed`, for what has not been decoded yet."""
        return content.replace(self._reveal().encode(), SHOWN.encode()) if self else content


def read_key(variable: str) -> Key:
    """The key in an environment variable; none where the variable is unset, empty, or named "".

    Raises ConfigError, which does not show the value, where it cannot be a key.
    """
    key = Key(variable, _reader(variable))
    if not key.sendable():
        raise ConfigError(
            f"the environment variable {variable} holds blanks, control characters or letters that no API key has: "
            "set it again, without quotes or line breaks inside"
        )
    return key


def _reader(variable: str) -> Callable[[], str]:
    """Read once, so that what is scrubbed is what was sent."""
    return (lambda value: lambda: value)(os.environ.get(variable, "").strip() if variable else "")
