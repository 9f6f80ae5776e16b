"""`crowdllm studio`: a local page to write problems, choose who is asked, and look at the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from crowdllm.cli.say import say

ASKING = "LLM for references"


def studio(
    place: Annotated[
        Optional[str],  # noqa: UP045 (typer reads the annotation)
        typer.Argument(help="A fitted model, a study folder, or the name of a data set.", metavar="[STUDY|MODEL]"),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where problems, fits and answers of an LLM are kept.")] = Path(
        "crowdllm-studio"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    idle: Annotated[float, typer.Option(help="Stop after so many minutes without a request.")] = 480.0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    backend: Annotated[
        str, typer.Option(help="Who gives references: openai, transformers, scripted.", rich_help_panel=ASKING)
    ] = "",
    model: Annotated[str, typer.Option(help="The LLM.", rich_help_panel=ASKING)] = "",
    base_url: Annotated[str, typer.Option(help="Address of its server.", rich_help_panel=ASKING)] = "",
    mode: Annotated[
        str, typer.Option(help="How it is asked; else as the model was fitted.", rich_help_panel=ASKING)
    ] = "",
    price_input: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="What a million input tokens cost.", rich_help_panel=ASKING),
    ] = None,
    price_output: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="What a million output tokens cost.", rich_help_panel=ASKING),
    ] = None,
    max_cost: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Never spend more than this.", rich_help_panel=ASKING),
    ] = None,
) -> None:
    """Open a page on this computer, for this browser only, to ask a crowd. Ctrl+C stops it; everything is kept."""
    import threading

    from crowdllm.errors import ConfigError, MissingExtraError

    try:
        import fastapi  # noqa: F401
        import jinja2  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise MissingExtraError("the studio", "studio") from None
    from crowdllm.studio.app import make_app, make_studio
    from crowdllm.studio.asking import make_asker
    from crowdllm.studio.guard import Access
    from crowdllm.studio.serve import serve
    from crowdllm.studio.workspace import Workspace

    if not 0 < idle < float("inf"):
        raise ConfigError(f"--idle must be a number of minutes above 0, not {idle:g}")
    work = Workspace(folder)
    asker = make_asker(work.folder, backend, model, base_url, mode, price_input, price_output, max_cost)
    if place:
        work.open(place)
    shown = make_studio(work, asker)

    def ready(access: Access) -> None:
        say(f"the studio is at {access.address}\nkept in {work.folder}; Ctrl+C stops it")
        threading.Thread(target=work.warm, daemon=True).start()
        if browser:
            import webbrowser

            webbrowser.open(access.address)

    def busy() -> bool:
        return any(state.running for state in shown.fits.all())

    serve(lambda access, seen: make_app(shown, access, seen), port, 60 * idle, busy, ready)
    say("the studio has stopped; the same command opens it again")
