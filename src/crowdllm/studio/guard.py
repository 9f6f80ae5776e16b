"""Who may talk to the studio: this browser, with the token, at this address, and not too much at once.

A page on the local machine can be reached by every web page that the same browser shows, so a request is refused unless

- its Host is the studio's own address (a foreign name that was made to point here, "DNS rebinding", is another host);
- its Origin, where it changes something, is the studio itself, and its Sec-Fetch-Site, where a browser says it, too
  (cookies do not know ports: another server on this machine would otherwise count as the same site);
- it carries the token: once in the address that the command line prints, from then on in a cookie that scripts cannot
  read and that other sites' requests do not bring (HttpOnly, SameSite=Strict);
- its body is no larger than the limit, by what it says and by what it sends.

Every answer forbids the browser to load anything from elsewhere, to show the page in a frame, and to keep it.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BODY, MOST_UPLOAD, MOST_ADDRESS = 2_000_000, 50_000_000, 8_000
UPLOAD_PATHS = ("/imports",)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
SAFE = ("GET", "HEAD")


@dataclass(frozen=True)
class Access:
    """Where the studio is, and its secret."""

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def hosts(self) -> tuple[str, ...]:
        return (f"127.0.0.1:{self.port}", f"localhost:{self.port}")

    @property
    def address(self) -> str:
        """What the command line prints."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    @property
    def cookie(self) -> str:
        """Its name says the port: two studios in one browser do not lose each other's."""
        return f"crowdllm_studio_{self.port}"


class TooLargeError(Exception):
    """The body is larger than the limit."""


class Guard:
    """The application with its door: see the module."""

    def __init__(self, app: App, access: Access, seen: Callable[[], None] = lambda: None) -> None:
        self.app, self.access, self.seen = app, access, seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no WebSocket here
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _say(send, *refusal)
            return
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if given:
            await self._enter(given, send)
            return
        if not _same(_cookie(headers.get("cookie", ""), self.access.cookie), self.access.token):
            await _say(send, 403, "This page needs the address with the token that `crowdllm studio` printed: open it.")
            return
        self.seen()
        limit = MOST_UPLOAD if scope["path"] in UPLOAD_PATHS else MOST_BODY
        await self._pass(scope, receive, send, headers, limit)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Why a request is refused before anybody asks for the token; None where it is not."""
        hosts = [value for name, value in scope["headers"] if name.lower() == b"host"]
        if len(hosts) != 1 or headers["host"].lower() not in self.access.hosts:
            return 421, "This is not the address of the studio."
        if len(scope["raw_path"]) + len(scope["query_string"]) > MOST_ADDRESS:
            return 414, "The address is too long."
        own = tuple(f"http://{host}" for host in self.access.hosts)
        origin, method = headers.get("origin"), scope["method"]
        if method not in (*SAFE, "POST"):
            return 405, "Nothing here is asked for in this way."
        if (origin is not None and origin not in own) or (method not in SAFE and origin is None):
            return 403, "The request comes from another page."
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "The request comes from another page. Open the address with the token in a new tab."
        return None

    async def _enter(self, given: str, send: Send) -> None:
        """The token in the address becomes a cookie, and leaves the address."""
        if not _same(given, self.access.token):
            await _say(send, 403, "The token in this address is not that of this studio: it is new at each start.")
            return
        cookie = f"{self.access.cookie}={self.access.token}; Path=/; HttpOnly; SameSite=Strict"
        start = [(b"location", b"/"), (b"set-cookie", cookie.encode())]
        await send({"type": "http.response.start", "status": 303, "headers": [*start, *HEADERS]})
        await send({"type": "http.response.body", "body": b""})

    async def _pass(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str], limit: int) -> None:
        said = headers.get("content-length", "0")
        if not said.isdigit() or int(said) > limit:
            await _say(send, 413, f"The request is larger than {limit:,} bytes.")
            return
        got, begun = 0, False

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > limit:
                raise TooLargeError
            return message

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                ours = {name for name, _ in HEADERS}
                message["headers"] = [h for h in message["headers"] if h[0].lower() not in ours] + list(HEADERS)
            await send(message)

        try:
            await self.app(scope, counted, with_headers)
        except TooLargeError:
            if not begun:
                await _say(send, 413, f"The request is larger than {limit:,} bytes.")


def _same(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), secret.encode())


def _cookie(header: str, name: str) -> str:
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return next((value for key, _, value in pairs if key == name), "")


async def _say(send: Send, status: int, text: str) -> None:
    body = f"{text}\n".encode()
    start = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*start, *HEADERS]})
    await send({"type": "http.response.body", "body": body})
