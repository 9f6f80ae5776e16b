"""Run the studio on this machine alone: on 127.0.0.1, until Ctrl+C, or until nobody has used it for a while."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from crowdllm.errors import ConfigError
from crowdllm.studio.guard import Access

HOST = "127.0.0.1"
SECONDS_BETWEEN_LOOKS = 0.5


@dataclass
class LastUse:
    """When somebody last asked for something."""

    at: float = 0.0

    def __post_init__(self) -> None:
        self.now()

    def now(self) -> None:
        self.at = time.monotonic()


def bound_socket(port: int) -> socket.socket:
    """A socket on the loopback interface; port 0 takes a free one. Raises ConfigError where the port is taken."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((HOST, port))
        found.listen(128)
    except OSError as error:
        found.close()
        raise ConfigError(
            f"port {port} cannot be used: {error.strerror}; give another --port, or leave it out"
        ) from None
    return found


def serve(
    make_app: Callable[[Access, Callable[[], None]], object],
    port: int,
    idle_seconds: float,
    busy: Callable[[], bool],
    ready: Callable[[Access], None],
) -> None:
    """Answer requests until Ctrl+C, or until nothing was asked for `idle_seconds` and `busy` says no.

    make_app: from the access and a function to call at each request to the application. ready: told the address.
    """
    import uvicorn

    listening = bound_socket(port)
    access, last = Access(listening.getsockname()[1]), LastUse()
    settings = uvicorn.Config(
        make_app(access, last.now),  # type: ignore[arg-type]
        log_level="error",
        access_log=False,  # an address may hold the token
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(settings)

    async def watch() -> None:
        while not server.should_exit:
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            if time.monotonic() - last.at > idle_seconds and not busy():
                server.should_exit = True

    async def run() -> None:
        watching = asyncio.create_task(watch())
        ready(access)
        await server.serve(sockets=[listening])
        watching.cancel()

    try:
        asyncio.run(run())
    finally:
        listening.close()
