"""The Admin tab: what its buttons do, each as a plain function, and how they are connected.

Every handler asks anew whether its session is logged in; until then nothing of any study is sent.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from annotations import Store
from annotations.columns import utc_now
from annotations.studies.values import StudyStatus, StudyView
from esc_demo.errors import EscError
from esc_demo.settings import Settings
from esc_demo.ui.admin_login import Logins
from esc_demo.ui.admin_show import (
    closed_html,
    codes_html,
    people_html,
    problems_html,
    progress_html,
    quality_html,
    state_html,
)
from esc_demo.ui.admin_view import AdminView, build_admin_view
from esc_demo.ui.frames import Frame, notice_html
from esc_demo.ui.studies import STATUS_WORDS

_QUICK: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_limit": 2,
    "concurrency_id": "admin",
}
_ASK = {
    "pause": "Pause {title}? Nothing new is given out; what people have begun is still taken.",
    "open": "Open {title} again? It goes on as it was frozen.",
    "close": "Close {title} for good? No answer is taken any more, and it cannot be opened again.",
}


class Admin:
    """The handlers, with what they need."""

    def __init__(self, view: AdminView, store: Store, logins: Logins) -> None:
        """Keep what is drawn on, the database, and who is logged in."""
        self.view = view
        self.store = store
        self.desk = store.desk()
        self.logins = logins
        self._folder: Path | None = None

    def enter(self, request: gr.Request, password: str | None) -> Frame:
        """Log in; the newest study that is open is shown."""
        told = self.logins.log_in(request.session_hash, _address(request), password or "")
        if told:
            return self._outside(told)
        view = self.view
        return {
            view.door.all: gr.update(visible=False),
            view.door.password: "",
            view.door.notice: "",
            view.office: gr.update(visible=True),
            **self._all(None),
        }

    def leave(self, request: gr.Request) -> Frame:
        """Log out."""
        self.logins.log_out(request.session_hash)
        return self._outside("", "You are logged out.")

    def look(self, request: gr.Request, slug: str | None) -> Frame:
        """Show a study as it stands now."""
        if not self.logins.knows(request.session_hash):
            return self._outside(_ENDED)
        return self._all(slug) | self._unasked()

    def ask(self, request: gr.Request, slug: str | None, act: str) -> Frame:
        """Ask before something is done to a study."""
        if not self.logins.knows(request.session_hash):
            return self._outside(_ENDED)
        control = self.view.control
        try:
            title = self.desk.study(slug or "").title
        except EscError as error:
            return {self.view.notice: notice_html(str(error))} | self._unasked()
        text = _ASK[act].format(title=f"<b>{escape(title)}</b>")
        return {
            control.question: f"<p>{text}</p>",
            control.confirm: gr.update(visible=True),
            control.asked: (slug, act),
            self.view.notice: "",
        }

    def do(self, request: gr.Request, asked: tuple[str, str]) -> Frame:
        """Do what was asked about."""
        if not self.logins.knows(request.session_hash):
            return self._outside(_ENDED)
        slug, act = asked
        try:
            if act not in _ASK:
                return self._all(None) | self._unasked()
            acts = {"pause": self.desk.pause, "open": self.desk.open, "close": self.desk.close}
            done = acts[act](slug)
        except EscError as error:
            return self._all(slug) | self._unasked() | {self.view.notice: notice_html(str(error))}
        said = notice_html("", f"{done.title} is {STATUS_WORDS[done.status]}.")
        return self._all(slug) | self._unasked() | {self.view.notice: said}

    def check(self, request: gr.Request, slug: str | None, typed: str | None) -> Frame:
        """Look completion codes up."""
        if not self.logins.knows(request.session_hash):
            return self._outside(_ENDED)
        try:
            found = codes_html(self.desk.check_codes(slug or "", (typed or "").split()))
        except EscError as error:
            found = notice_html(str(error))
        return {self.view.codes.found: found}

    def export(self, request: gr.Request, slug: str | None) -> Frame:
        """Put an archive of all answers up for download."""
        if not self.logins.knows(request.session_hash):
            return self._outside(_ENDED)
        from annotations.exporting import export_study, write_export  # noqa: PLC0415 (slow import)

        view = self.view
        try:
            name = self.desk.study(slug or "").slug
            found = export_study(self.store, name)
            path = self._exports() / f"{name}.zip"
            path.unlink(missing_ok=True)
            write_export(found, path)
        except EscError as error:
            return {view.notice: notice_html(str(error)), view.download: gr.update(visible=False)}
        return {
            view.download: gr.update(value=str(path), visible=True),
            view.notice: notice_html("", " ".join(found.notes)),
        }

    def _exports(self) -> Path:
        """A folder of this process, gone with it."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="esc-export-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def _all(self, slug: str | None) -> Frame:
        """The list of studies and the one that is picked: by default an open one, or the newest."""
        view = self.view
        try:
            studies = self.desk.studies()
            by_slug = {one.slug: one for one in studies}
            running = next((one for one in studies if one.status is StudyStatus.OPEN), None)
            picked = by_slug.get(slug or "") or running or next(iter(studies), None)
            frame: Frame = {
                view.picker: gr.update(
                    choices=[(f"{one.title} ({one.slug})", one.slug) for one in studies],
                    value=picked.slug if picked else None,
                    visible=bool(studies),
                ),
                view.codes.found: "",
                view.notice: "",
                view.download: _NO_FILE,
            }
            return frame | self._one(picked)
        except EscError as error:
            return {view.notice: notice_html(str(error))}

    def _one(self, study: StudyView | None) -> Frame:
        """One study, or that there is none."""
        view, control = self.view, self.view.control
        status = study.status if study else None
        frame: Frame = {
            control.pause: gr.update(visible=status is StudyStatus.OPEN),
            control.go_on: gr.update(visible=status is StudyStatus.PAUSED),
            control.close: gr.update(visible=status in (StudyStatus.OPEN, StudyStatus.PAUSED)),
        }
        if study is None:
            nothing = dict.fromkeys((view.progress, view.people, view.quality, view.problems), "")
            return frame | nothing | {view.state: _NO_STUDY}
        from annotations.studies.oversight import oversee  # noqa: PLC0415 (leads to scipy)

        seen = oversee(self.store, study.slug)
        return frame | {
            view.state: state_html(seen.view, utc_now()),
            view.progress: progress_html(seen),
            view.people: people_html(seen.progress),
            view.quality: quality_html(seen),
            view.problems: problems_html(seen.problems),
        }

    def _outside(self, problem: str, calm: str = "") -> Frame:
        """The door, and nothing of what was shown behind it."""
        view = self.view
        shown = (view.state, view.progress, view.people, view.quality, view.problems)
        return {
            view.door.all: gr.update(visible=True),
            view.door.password: "",
            view.door.notice: notice_html(problem, calm),
            view.office: gr.update(visible=False),
            view.picker: gr.update(choices=[], value=None),
            view.codes.typed: "",
            view.codes.found: "",
            view.download: _NO_FILE,
            view.notice: "",
            **dict.fromkeys(shown, ""),
            **self._unasked(),
        }

    def _unasked(self) -> Frame:
        """No question."""
        control = self.view.control
        return {control.confirm: gr.update(visible=False), control.asked: ("", "")}


_NO_FILE = gr.update(value=None, visible=False)
_ENDED = "Please log in again: nothing was done here for a while, or the page was restarted."
_NO_STUDY = (
    "<p class='esc-hint'>No study is stored yet. The Study tab shows how to make one; then press"
    " Refresh.</p>"
)


def build_admin(store: Store, settings: Settings, logins: Logins | None = None) -> AdminView:
    """Lay out and wire the tab in the present block; others may ask the same `logins`."""
    logins = logins or Logins(settings.admin_password)
    view = build_admin_view(closed_html(logins.closed))
    if logins.closed:
        return view
    do = Admin(view, store, logins)
    control, codes, picker = view.control, view.codes, view.picker
    everything = view.outputs()
    gr.on(
        [view.door.enter.click, view.door.password.submit],
        do.enter,
        view.door.password,
        everything,
        **_QUICK,
    )
    view.leave.click(do.leave, None, everything, **_QUICK)
    for event in (picker.input, view.refresh.click):
        event(do.look, picker, everything, **_QUICK)
    for button, act in (
        (control.pause, "pause"),
        (control.go_on, "open"),
        (control.close, "close"),
    ):
        button.click(_asking(do, act), picker, everything, **_QUICK)
    control.no.click(do.look, picker, everything, **_QUICK)
    control.yes.click(do.do, control.asked, everything, **_QUICK)
    view.export.click(do.export, picker, everything, **_QUICK)
    codes.check.click(do.check, [picker, codes.typed], everything, **_QUICK)
    return view


def _asking(do: Admin, act: str) -> Any:
    """The handler of one of the buttons."""

    def ask(request: gr.Request, slug: str | None) -> Frame:
        return do.ask(request, slug, act)

    return ask


def _address(request: gr.Request) -> str:
    """Where a request comes from, as far as this process knows; a header could be made up."""
    client = getattr(request, "client", None)
    return str(getattr(client, "host", "")) or "unknown"
