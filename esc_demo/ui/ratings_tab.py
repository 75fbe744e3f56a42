"""The ratings section of the Results tab, laid out and connected."""

from __future__ import annotations

from typing import Any

import gradio as gr

from annotations import Store
from esc_demo.settings import Settings
from esc_demo.ui.admin_login import Logins
from esc_demo.ui.admin_view import AdminView
from esc_demo.ui.frames import Frame
from esc_demo.ui.ratings import Ratings
from esc_demo.ui.ratings_job import Reports
from esc_demo.ui.ratings_view import SHOW_LIST_JS, SHOW_READER_JS, build_ratings_view

_QUICK: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_limit": 4,
    "concurrency_id": "ratings",
}


def build_ratings(
    tabs: tuple[gr.Tab, ...], store: Store, settings: Settings, logins: Logins
) -> Ratings:
    """Lay out and wire the section in the present block; opening one of `tabs` lists studies."""
    view = build_ratings_view()
    do = Ratings(view, store, Reports(store, settings.database_url), logins)
    everything, listed = view.outputs(), view.list
    looking: list[Any] = [view.study, view.ticket]
    for event in (*(tab.select for tab in tabs), view.refresh.click):
        event(do.look, looking, everything, **_QUICK)
    # Making a report may take a minute, so it has a queue of its own.
    making = _QUICK | {"concurrency_limit": 8, "concurrency_id": "reports"}
    view.show.click(do.show, view.study, everything, **making)
    view.stratum.input(do.filter, [view.ticket, view.stratum], everything, **making)
    place: list[Any] = [view.ticket, *listed.choices(), listed.page]
    for event, step in (
        (listed.find.change, 0),
        (listed.arm.input, 0),
        (listed.kind.input, 0),
        (listed.order.input, 0),
        (listed.other.input, 0),
        (listed.dimension.input, 0),
        (listed.back.click, -1),
        (listed.on.click, 1),
    ):
        event(_stepping(do, step), place, listed.listed(), trigger_mode="always_last", **_QUICK)
    view.report.click(
        do.behind,
        [view.ticket, listed.kind, listed.order],
        [*listed.choices(), *listed.listed()],
        **_QUICK,
    ).then(None, js=SHOW_LIST_JS, api_visibility="private")
    listed.items.click(
        do.read, [view.ticket, listed.page], [listed.reader, listed.page], **_QUICK
    ).then(None, js=SHOW_READER_JS, api_visibility="private")
    return do


def leave_with(do: Ratings, admin: AdminView) -> None:
    """Whoever logs out on the Admin tab leaves nothing here either."""
    view = do.view
    admin.leave.click(do.forget, view.study, view.outputs(), **_QUICK)


def _stepping(do: Ratings, step: int) -> Any:
    """A handler that turns the list by `step` pages."""

    def turn(request: gr.Request, ticket: Any, *choices: Any) -> Frame:
        kind, arm, find, order, other, dimension, place = choices
        return do.items(request, ticket, kind, arm, find, order, place, step, other, dimension)

    return turn
