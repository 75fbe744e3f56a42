"""The ratings section of the Results tab: what its parts do, and how they are connected.

A running study's outcome is kept from raters and chance visitors: every handler asks anew whether
the study is closed or the session is logged in. Comments and live chats need the login always.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from annotations import Store
from annotations.behind import read_behind
from annotations.studies.values import StudyStatus, StudyView
from annotations.values import RaterKind
from esc_demo.errors import BadInput, EscError
from esc_demo.ui.admin_login import Logins
from esc_demo.ui.frames import Frame, notice_html
from esc_demo.ui.ratings_job import Made, Reports, Ticket
from esc_demo.ui.ratings_lines import Asked
from esc_demo.ui.ratings_show import (
    choice_label,
    nothing_html,
    progress_html,
    report_html,
    who_sees_html,
)
from esc_demo.ui.ratings_view import (
    ALL_ARMS,
    ALL_DIMENSIONS,
    ALL_STRATA,
    BY_ITSELF,
    KINDS,
    RatingsView,
)

LOOK_S = 0.4
"""Seconds between two looks at a report that is being made."""

_GONE = "This report is no longer kept. Press Show again."
_CLOSED_DOOR = (
    "This study is not closed, so its results are for its owner: log in on the Admin tab, then"
    " choose it again."
)


class Ratings:
    """The handlers, with what they need."""

    def __init__(self, view: RatingsView, store: Store, reports: Reports, logins: Logins) -> None:
        """Keep what is drawn on, the database, the reports, and who is logged in."""
        self.view = view
        self.store = store
        self.desk = store.desk()
        self.reports = reports
        self.logins = logins

    def look(self, request: gr.Request, picked: str | None, ticket: Ticket | None) -> Frame:
        """List studies anew; what is shown goes when this session may no longer see it."""
        inside = self._inside(request)
        frame = self._offer(picked, inside=inside)
        made = self.reports.kept(ticket)
        if ticket is not None and made is not None and not (made.public or inside):
            frame |= self._hidden()
        return frame

    def forget(self, request: gr.Request, picked: str | None) -> Frame:
        """Log out, and take everything off the page."""
        self.logins.log_out(request.session_hash)
        return self._offer(picked, inside=False) | self._hidden()

    def show(self, request: gr.Request, slug: str | None) -> Iterator[Frame]:
        """Make the report of a study; says how far it is until it is there."""
        yield from self._make(request, slug or "", "")

    def filter(
        self, request: gr.Request, ticket: Ticket | None, stratum: str | None
    ) -> Iterator[Frame]:
        """The same study's report of one stratum, or of all."""
        if ticket is None:
            yield {self.view.progress: notice_html(_GONE)}
            return
        yield from self._make(request, ticket.slug, stratum or "")

    def _make(self, request: gr.Request, slug: str, stratum: str) -> Iterator[Frame]:
        view = self.view
        try:
            self._admit(request, slug)
            job = self.reports.start(slug, stratum)
        except EscError as error:
            yield {view.progress: notice_html(str(error))}
            return
        while not job.wait(LOOK_S):
            yield {view.progress: progress_html(job), view.show: gr.update(interactive=False)}
        ready: Frame = {view.show: gr.update(interactive=True)}
        if job.made is None or job.ticket is None:
            yield ready | {view.progress: notice_html(job.problem)}
        elif not (job.made.public or self._inside(request)):
            yield ready | self._hidden() | {view.progress: notice_html(_CLOSED_DOOR)}
        else:
            yield ready | {view.progress: ""} | self._shown(job.ticket, job.made)

    def items(
        self,
        request: gr.Request,
        ticket: Ticket | None,
        kind: str,
        arm: str | None,
        find: str | None,
        order: str,
        place: tuple[int, int | None],
        step: int,
        other: str | None = None,
        dimension: str | None = None,
    ) -> Frame:
        """Turn a page of the list, or with `step` 0 begin anew at its first."""
        try:
            made = self._kept(request, ticket)
        except EscError as error:
            return {self.view.list.items: notice_html(str(error))}
        page, current = place
        asked = Asked(_kind(made, kind), arm or "", find or "", order, other or "", dimension or "")
        return self._list(made, asked, page + step if step else 0, current)

    def behind(
        self, request: gr.Request, ticket: Any, kind: str, order: str, event: gr.EventData
    ) -> Frame:
        """List what lies behind the numbers that were chosen in the report."""
        arm, asked = getattr(event, "arm", None), getattr(event, "kind", None)
        other, dimension = getattr(event, "other", ""), getattr(event, "dimension", "")
        return self.behind_arm(request, ticket, asked or kind, order, arm, other, dimension)

    def behind_arm(
        self,
        request: gr.Request,
        ticket: Ticket | None,
        kind: str,
        order: str,
        arm: object,
        other: object = "",
        dimension: object = "",
    ) -> Frame:
        """The lines of one arm, or of two, by names that come from the page."""
        view = self.view.list
        try:
            made = self._kept(request, ticket)
        except EscError as error:
            return {view.items: notice_html(str(error))}
        known = (line for line in made.lines if (line.arm, line.other) == (arm, other))
        line = next(known, None)
        name, against = (line.arm, line.other) if line else ("", "")
        about = next((one for one in _dimensions(made) if one == dimension), "")
        whose = _kind(made, kind)
        shown = {
            view.arm: name,
            view.other: against,
            view.dimension: about,
            view.kind: whose.value,
            view.order: order,
            view.find: "",
        }
        return shown | self._list(made, Asked(whose, name, "", order, against, about), 0, None)

    def read(self, request: gr.Request, ticket: Any, place: Any, event: gr.EventData) -> Frame:
        """Show what lies behind the line that was picked."""
        return self.read_line(request, ticket, place, getattr(event, "item", None))

    def read_line(
        self, request: gr.Request, ticket: Ticket | None, place: Any, line: object
    ) -> Frame:
        """Show what lies behind a line by its number, which comes from the page."""
        from esc_demo.ui.ratings_read import read_html  # noqa: PLC0415 (leads to scipy)

        view = self.view.list
        try:
            made = self._kept(request, ticket)
            if not isinstance(line, int) or not 0 <= line < len(made.lines):
                raise BadInput("There is no such line. Choose one from the list.")
            chosen = made.lines[line]
            assert ticket is not None  # _kept has found it
            behind = read_behind(self.store, ticket.slug, chosen.item)
        except EscError as error:
            return {view.reader: notice_html(str(error))}
        inside = self._inside(request)
        shown = read_html(behind, made.frames, made.lines, chosen, inside=inside)
        return {view.reader: shown, view.page: (place[0], line)}

    def _inside(self, request: gr.Request) -> bool:
        return self.logins.knows(request.session_hash)

    def _admit(self, request: gr.Request, slug: str) -> StudyView:
        """The study, if this session may see its outcome.

        Raises:
            BadInput: it may not, or nothing is chosen; a draft has no outcome.
            StudyError: 404.
        """
        if not slug:
            raise BadInput("No study is chosen. Choose one, then press Show.")
        study = self.desk.study(slug)
        if study.status is not StudyStatus.CLOSED and not self._inside(request):
            raise BadInput(_CLOSED_DOOR)
        return study

    def _kept(self, request: gr.Request, ticket: Ticket | None) -> Made:
        """The report a page shows.

        Raises:
            BadInput: it was forgotten, or this session may not see it.
        """
        made = self.reports.kept(ticket)
        if made is None:
            raise BadInput(_GONE)
        if not (made.public or self._inside(request)):
            raise BadInput(_CLOSED_DOOR)
        return made

    def _offer(self, picked: str | None, *, inside: bool) -> Frame:
        """The studies whose outcome this session may see."""
        view = self.view
        try:
            studies = self.desk.studies()
        except EscError as error:
            return {view.empty: notice_html(str(error)), view.study: gr.update(visible=False)}
        running = [s for s in studies if s.status in (StudyStatus.OPEN, StudyStatus.PAUSED)]
        offered = [s for s in studies if s.status is StudyStatus.CLOSED]
        offered += running if inside else []
        slugs = [study.slug for study in offered]
        return {
            view.who: who_sees_html(inside=inside, can_log_in=self.logins.closed is None),
            view.empty: "" if offered else nothing_html(len(running), inside=inside),
            view.show: gr.update(visible=bool(offered)),
            view.study: gr.update(
                visible=bool(offered),
                choices=[(choice_label(s.title, s.slug, s.status), s.slug) for s in offered],
                value=picked if picked in slugs else next(iter(slugs), None),
            ),
        }

    def _shown(self, ticket: Ticket, made: Made) -> Frame:
        """A report that has just been made."""
        view, listed = self.view, self.view.list
        kinds = [one for one in KINDS if any(line.kind is one for line in made.lines)]
        kind = kinds[0] if kinds else RaterKind.HUMAN
        arms = sorted({line.arm for line in made.lines})
        order = listed.order.value
        frame: Frame = {
            view.ticket: ticket,
            view.group: gr.update(visible=True),
            view.report: report_html(made, ticket.stratum),
            view.stratum: gr.update(
                choices=[ALL_STRATA, *((name, name) for name in made.strata)],
                value=ticket.stratum,
                visible=len(made.strata) > 1,
            ),
            view.download: gr.update(value=str(made.archive)),
            listed.kind: gr.update(
                choices=[KINDS[one] for one in kinds], value=kind.value, visible=len(kinds) > 1
            ),
            listed.arm: gr.update(choices=[ALL_ARMS, *((arm, arm) for arm in arms)], value=""),
            listed.other: gr.update(
                choices=[BY_ITSELF, *((arm, arm) for arm in arms)], value="", visible=len(arms) > 1
            ),
            listed.dimension: gr.update(
                choices=[
                    ALL_DIMENSIONS,
                    *((_title(name), name) for name in _dimensions(made)),
                ],
                value="",
            ),
            listed.order: order,
            listed.find: "",
            listed.reader: "",
        }
        return frame | self._list(made, Asked(kind, "", "", str(order)), 0, None)

    def _list(self, made: Made, asked: Asked, page: int, current: int | None) -> Frame:
        """A page of the list with its buttons."""
        from esc_demo.ui.ratings_read import list_html  # noqa: PLC0415 (leads to scipy)

        view = self.view.list
        listed = list_html(made.lines, asked, page, current)
        return {
            view.items: listed.html,
            view.page: (listed.page, current),
            view.back: gr.update(interactive=listed.page > 0),
            view.on: gr.update(interactive=listed.page < listed.pages - 1),
        }

    def _hidden(self) -> Frame:
        """Nothing of any study."""
        view, listed = self.view, self.view.list
        return {
            view.progress: "",
            view.group: gr.update(visible=False),
            view.ticket: None,
            view.stratum: gr.update(choices=[ALL_STRATA], value=""),
            view.download: gr.update(value=None),
            listed.arm: gr.update(choices=[ALL_ARMS], value=""),
            listed.other: gr.update(choices=[BY_ITSELF], value=""),
            listed.dimension: gr.update(choices=[ALL_DIMENSIONS], value=""),
            listed.page: (0, None),
            **dict.fromkeys((view.report, listed.items, listed.reader, listed.find), ""),
        }


def _dimensions(made: Made) -> tuple[str, ...]:
    """What was scored, in the order of the study."""
    return tuple(dict.fromkeys(name for line in made.lines for name in line.means))


def _title(dimension: str) -> str:
    """A dimension in the list of choices."""
    return dimension.replace("_", " ").capitalize()


def _kind(made: Made, kind: str) -> RaterKind:
    """The kind of raters asked for, or whoever answered."""
    known = [line.kind for line in made.lines]
    return RaterKind.JUDGE if kind == "judge" and RaterKind.JUDGE in known else RaterKind.HUMAN
