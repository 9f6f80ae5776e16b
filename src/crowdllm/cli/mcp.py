"""`crowdllm mcp`: let an LLM application ask about the studies and crowds in a folder (Model Context Protocol)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def mcp(
    root: Annotated[
        Path, typer.Option(help="The folder with studies, crowds and models; nothing outside it is read.")
    ] = Path("."),
) -> None:
    """Serve a folder over standard input and output, for the settings of an LLM application. The tools only read."""
    from crowdllm.integrations.mcp_server import make_server

    make_server(root).run("stdio")
