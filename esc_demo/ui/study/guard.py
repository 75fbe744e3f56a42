"""Who may ask, how much at once, and what every answer of the rater's page carries."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 64 * 1024
"""Longest accepted request body."""

_COOKIE_SECONDS = 180 * 24 * 3600
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_log = logging.getLogger(__name__)
_WENT_WRONG = (
    "Something went wrong on our side. What you have ticked is kept; reload the page and try again."
)


class Guard:
    """ASGI middleware: refuses foreign, oversized and non-JSON posts; adds the headers.

    What nobody expected is logged, and answered with one sentence.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refusal = _refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, with_headers)
            return
        try:
            await self._app(scope, receive, with_headers)
        except Exception:
            if begun:
                raise
            _log.exception("%s failed", scope["path"])
            await said(500, _WENT_WRONG)(scope, receive, with_headers)


def _refusal(scope: Scope) -> Response | None:
    """The answer to a request that goes no further, or None."""
    headers = Headers(scope=scope)
    if not _own(headers, scope["method"]):
        return said(403, "This request comes from another site. Open the study's own address.")
    if scope["method"] == "POST":
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return said(415, "The study takes JSON only. Use its page.")
        length = headers.get("content-length", "")
        if not length.isdigit():
            return said(411, "The request does not say how long it is. Use the study's page.")
        if int(length) > MOST_BYTES:
            return said(413, "That is too long. Shorten the text and try again.")
    return None


def _own(headers: Headers, method: str) -> bool:
    """Whether the request comes from the study's own page, or from no page at all.

    Browsers tell where a request comes from; programs that are no browsers carry nobody's
    cookies and may ask. A link on another site may lead here. `Host` is compared only where the
    clearer header is missing, because proxies change it.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        link = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        return site in ("same-origin", "none") or link
    origin = headers.get("origin")
    if origin is None:
        return True
    hosts = {headers.get("host"), headers.get("x-forwarded-host")}
    return urlsplit(origin).netloc in hosts


def said(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A refusal in one sentence."""
    return JSONResponse({"error": sentence}, status, headers)


def tidy_code(typed: str) -> str:
    """A resume code as it was shown, however it was typed: `ABCD-EFGH-JKLM`."""
    signs = re.sub(r"[^A-Z0-9]", "", typed.upper())
    return "-".join(signs[start : start + 4] for start in range(0, len(signs), 4)) or "-"


def read_key(request: Request, slug: str) -> str | None:
    """The participant's key, if this browser has one."""
    return request.cookies.get(_cookie(slug))


def keep_key(request: Request, response: Response, slug: str, key: str) -> None:
    """Let this browser come back as the same participant; scripts cannot read it."""
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
    response.set_cookie(
        _cookie(slug),
        key,
        max_age=_COOKIE_SECONDS,
        path=_path(request, slug),
        httponly=True,
        samesite="lax",
        secure="https" in (request.url.scheme, forwarded),
    )


def drop_key(request: Request, response: Response, slug: str) -> None:
    """Forget the participant in this browser."""
    response.delete_cookie(_cookie(slug), path=_path(request, slug))


def _cookie(slug: str) -> str:
    return f"esc-study-{slug}"


def _path(request: Request, slug: str) -> str:
    return f"{request.scope.get('root_path', '').rstrip('/')}/{slug}"
