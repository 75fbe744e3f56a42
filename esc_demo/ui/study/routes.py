"""The addresses of the rater's page: one HTML page a study, its parts, and its JSON calls.

All that matters is decided by the Desk, from the participant's key in the cookie; a request
says only what its participant did. The Desk blocks on the database, so the routes are plain
functions, which the framework runs in threads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from annotations import Store
from annotations.studies.desk import Desk
from annotations.studies.errors import StudyError, conflict
from annotations.studies.forms import SubmissionForm
from annotations.studies.values import Screen
from esc_demo.engine import ModelSource
from esc_demo.errors import BadInput, EscError
from esc_demo.ui.header import danger_html, support_html
from esc_demo.ui.study.bodies import (
    ConsentBody,
    CorrectBody,
    DraftBody,
    EmptyBody,
    EnterBody,
    ItemBody,
    ReportBody,
    SayBody,
    SkipBody,
    SubmitBody,
)
from esc_demo.ui.study.guard import (
    Guard,
    drop_key,
    keep_key,
    read_key,
    said,
    tidy_code,
)
from esc_demo.ui.study.live import LiveChats
from esc_demo.ui.study.replies import (
    Json,
    answered_json,
    begun_json,
    is_live,
    receipt_json,
    screen_json,
    welcome_json,
    withdrawn_json,
)
from esc_demo.ui.study.throttle import Throttle

_log = logging.getLogger(__name__)
_STATIC = Path(__file__).parent / "static"
_KINDS = {".js": "text/javascript", ".css": "text/css"}
_PARTS = {
    path.name: (path.read_bytes(), _KINDS[path.suffix])
    for path in _STATIC.iterdir()
    if path.suffix in _KINDS
}
_UNKNOWN = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
_LATER = (
    "The study cannot store anything just now. What you have ticked stays in this browser; please"
    " try again in a moment."
)


class TooMany(StudyError):
    """Codes were tried too often from one address."""

    def __init__(self, wait_s: int) -> None:
        """May try again after `wait_s` seconds."""
        super().__init__(
            "Too many codes were tried from here, perhaps by somebody else on your network. Wait"
            f" {wait_s} s, then reload the page or type your code once more.",
            HTTPStatus.TOO_MANY_REQUESTS,
        )
        self.wait_s = wait_s


def study_app(store: Store, models: ModelSource, region: str) -> FastAPI:
    """The rater's page as an application of its own, to be mounted at `/study`.

    `models` answer in live chats; `region` is where crisis resources begin.
    """
    desk = store.desk()
    calls = _Calls(desk, LiveChats(desk, store, models))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(_pages(desk, region))
    app.include_router(calls.router(), prefix="/{slug}/api")
    _explain_errors(app)
    app.add_middleware(Guard)  # last, so that it stands before everything else
    return app


def _pages(desk: Desk, region: str) -> APIRouter:
    """The page itself and the files it is made of."""
    router = APIRouter()
    danger = danger_html(region)
    html = (_STATIC / "study.html").read_text("utf-8").replace("<!--danger-->", danger)
    html = html.replace("<!--support-->", danger + support_html(region))

    @router.get("/-/{name}")
    async def part(name: str) -> Response:
        if name not in _PARTS:
            raise HTTPException(404)
        content, kind = _PARTS[name]
        return Response(content, media_type=kind)

    @router.get("/{slug}", response_class=HTMLResponse)
    def page(slug: str) -> HTMLResponse:
        try:
            desk.study(slug)
        except StudyError as error:
            return HTMLResponse(html, error.status)
        return HTMLResponse(html)

    return router


class _Calls:
    """The JSON calls. `key` is the participant's, from the cookie."""

    def __init__(self, desk: Desk, chats: LiveChats) -> None:
        """Answer from `desk`, and from `chats` in live mode."""
        self.desk = desk
        self.chats = chats
        self.throttle = Throttle()

    def router(self) -> APIRouter:
        """All calls under the study's address."""
        router = APIRouter()
        router.get("/screen")(self.screen)
        for name, call in (
            ("enter", self.enter),
            ("consent", self.consent),
            ("draft", self.draft),
            ("submit", self.submit),
            ("answered", self.answered),
            ("correct", self.correct),
            ("skip", self.skip),
            ("report", self.report),
            ("resume", self.resume),
            ("withdraw", self.withdraw),
            ("chat/say", self.chat_say),
            ("chat/look", self.chat_look),
            ("chat/end", self.chat_end),
        ):
            router.post(f"/{name}")(call)
        return router

    def screen(self, request: Request, response: Response, slug: str) -> Json:
        """What to show now; the welcome to somebody unknown."""
        key = read_key(request, slug)
        if key is not None:
            try:
                return self._show(slug, key)
            except StudyError as error:
                if error.status not in _UNKNOWN:
                    raise
                drop_key(request, response, slug)
        return welcome_json(self.desk.definition(slug))

    def enter(self, request: Request, response: Response, slug: str, body: EnterBody) -> Json:
        """Come in anew, or go on; sets the cookie.

        A link alone seats nobody in a session that somebody has begun elsewhere: whoever follows
        it is asked first whether that was them (`mine`).
        """
        definition = self.desk.definition(slug)
        names = definition.recruitment.url_parameters
        external = body.parameters.get(names.participant) if names is not None else None
        linked = body.parameters.get("invitation")
        invitation = body.invitation or linked
        here = read_key(request, slug)
        # Who is named by the address counts for more than whoever used this browser before.
        before = None if external or invitation else here
        typed = bool(body.resume or body.invitation)
        with self._counted(request, guessed=bool(body.resume or invitation)):
            entry = self.desk.enter(
                slug,
                resume_key=tidy_code(body.resume) if body.resume else before,
                invitation=invitation,
                external=external,
            )
        by_link = bool(external or linked) and not typed and not body.mine
        if by_link and entry.resumed and tidy_code(here or "") != entry.key:
            return begun_json(definition)
        keep_key(request, response, slug, entry.key)
        return self._show(slug, entry.key)

    @contextmanager
    def _counted(self, request: Request, *, guessed: bool) -> Iterator[None]:
        """Let an address try only so many codes that lead to nobody.

        Raises:
            TooMany: it has to wait.
        """
        address = request.client.host if request.client is not None else "unknown"
        if guessed and (wait_s := self.throttle.wait_s(address)):
            raise TooMany(wait_s)
        try:
            yield
        except StudyError as error:
            if guessed and error.status in _UNKNOWN:
                self.throttle.missed(address)
            raise

    def consent(self, request: Request, slug: str, body: ConsentBody) -> Json:
        """Record the agreement."""
        key = _key(request, slug)
        self.desk.consent(slug, key, body.version)
        return self._show(slug, key)

    def draft(self, request: Request, slug: str, body: DraftBody) -> Json:
        """Keep what is ticked so far."""
        self.desk.save_draft(slug, _key(request, slug), body.assignment_id, body.draft)
        return {"saved": True}

    def submit(self, request: Request, slug: str, body: SubmitBody) -> Json:
        """Store the answers about one item; the same nonce again changes nothing."""
        key = _key(request, slug)
        receipt = self.desk.submit(slug, key, SubmissionForm.parse(body.model_dump()))
        return {**receipt_json(receipt), "screen": self._shown(slug, key, receipt.screen)}

    def answered(self, request: Request, slug: str, body: ItemBody) -> Json:
        """What was answered about an item, to be changed."""
        key = _key(request, slug)
        view = self.desk.answered(slug, key, body.assignment_id)
        live = is_live(view.item)
        return answered_json(view, self.chats.look(slug, key, view.item) if live else None)

    def correct(self, request: Request, slug: str, body: CorrectBody) -> Json:
        """Store other answers beside those given before."""
        key = _key(request, slug)
        form = SubmissionForm.parse(body.model_dump(exclude={"reason"}))
        receipt = self.desk.correct(slug, key, body.assignment_id, form, body.reason)
        return {"screen": self._shown(slug, key, receipt.screen)}

    def skip(self, request: Request, slug: str, body: SkipBody) -> Json:
        """Give an item back."""
        key = _key(request, slug)
        self.desk.skip(slug, key, body.assignment_id, body.reason)
        return self._show(slug, key)

    def report(self, request: Request, slug: str, body: ReportBody) -> Json:
        """Keep a message to the study's owner."""
        self.desk.report_problem(slug, _key(request, slug), body.assignment_id, body.text)
        return {"reported": True}

    def resume(self, request: Request, slug: str, body: EmptyBody) -> Json:
        """End a break."""
        key = _key(request, slug)
        self.desk.resume_from_break(slug, key)
        return self._show(slug, key)

    def withdraw(self, request: Request, response: Response, slug: str, body: EmptyBody) -> Json:
        """Take a participant's answers out, and forget them in this browser."""
        definition = self.desk.definition(slug)
        key = _key(request, slug)
        receipt = self.desk.withdraw(slug, key)
        self.chats.forget(key)
        drop_key(request, response, slug)
        return withdrawn_json(definition, receipt)

    def chat_say(self, request: Request, slug: str, body: SayBody) -> Json:
        """Send a message to both partners; returns at once."""
        key = _key(request, slug)
        item = self._open_item(slug, key, body.assignment_id)
        return {"chat": self.chats.say(slug, key, item, body.position, body.text)}

    def chat_look(self, request: Request, slug: str, body: ItemBody) -> Json:
        """Where a chat stands."""
        key = _key(request, slug)
        return {"chat": self.chats.look(slug, key, self._open_item(slug, key, body.assignment_id))}

    def chat_end(self, request: Request, slug: str, body: ItemBody) -> Json:
        """End a chat; its ratings come next."""
        key = _key(request, slug)
        self.chats.end(slug, key, self._open_item(slug, key, body.assignment_id))
        return self._show(slug, key)

    def _show(self, slug: str, key: str) -> Json:
        """What the participant is to see now."""
        return self._shown(slug, key, self.desk.current(slug, key))

    def _shown(self, slug: str, key: str, screen: Screen) -> Json:
        """A screen as JSON, with the chat if there is one."""
        return screen_json(screen, key, self._chat(slug, key, screen))

    def _chat(self, slug: str, key: str, screen: Screen) -> Json | None:
        item = screen.item
        return self.chats.look(slug, key, item) if item is not None and is_live(item) else None

    def _open_item(self, slug: str, key: str, assignment_id: str) -> Any:
        """The item that is open, if it is this one.

        Raises:
            StudyError: the page shows another item than the server has open.
        """
        item = self.desk.current(slug, key).item
        if item is None or item.assignment_id != assignment_id or not is_live(item):
            raise conflict("You went on in another tab; here is where the study stands.")
        return item


def _key(request: Request, slug: str) -> str:
    """The participant's key.

    Raises:
        StudyError: this browser has none.
    """
    key = read_key(request, slug)
    if key is None:
        raise StudyError(
            "This browser does not know you any more. Reload the page and enter your resume code.",
            HTTPStatus.UNAUTHORIZED,
        )
    return key


def _explain_errors(app: FastAPI) -> None:
    """Every refusal is a sentence; what may name a model or a file is logged, not sent."""

    @app.exception_handler(EscError)
    async def refused(request: Request, error: EscError) -> JSONResponse:
        if isinstance(error, TooMany):
            return said(error.status, str(error), {"Retry-After": str(error.wait_s)})
        if isinstance(error, StudyError):
            return said(error.status, str(error))
        if isinstance(error, BadInput):
            return said(422, str(error))
        _log.error("%s: %s", request.url.path, error)
        return said(503, _LATER)

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, error: RequestValidationError) -> JSONResponse:
        names = ", ".join(str(item["loc"][-1]) for item in error.errors()[:3])
        return said(422, f"The answer could not be read ({names}). Reload the page and try again.")

    @app.exception_handler(HTTPException)
    async def missing(request: Request, error: HTTPException) -> JSONResponse:
        return said(error.status_code, "There is nothing at this address. Check the link.")
