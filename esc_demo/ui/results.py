"""The Results tab: what its buttons do, each as a plain function, and how they are connected.

Runs and their scores belong to the machine: every page shows the same ones. The scorer is
imported when a table is first asked for, so that the first page does not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components.plot import PlotData

from esc_demo.errors import BadInput, EscError
from esc_demo.settings import PROJECT_ROOT, Settings
from esc_demo.ui.frames import Frame, notice_html
from esc_demo.ui.results_plot import (
    bars,
    bars_html,
    dimensions,
    first_dimension,
    trade_off,
    trade_off_html,
)
from esc_demo.ui.results_read import DEFAULT_METRIC, Order, list_html, read_html
from esc_demo.ui.results_runs import EVERY_GROUP, Found, choices, find_runs
from esc_demo.ui.results_table import (
    MAIN,
    differences_html,
    header_html,
    metric_choices,
    table_html,
)
from esc_demo.ui.results_view import (
    DRAWS,
    EMPTY,
    FILES,
    PICTURE_JS,
    PROFILES,
    SHOW_READER_JS,
    ResultsView,
    build_results_view,
)
from finetune.runs import RUNS

if TYPE_CHECKING:
    from esc_demo.ui.results_score import Asked, Job, Scored, Scoring

_QUICK: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_limit": 4,
    "concurrency_id": "results",
}

LOOK_S = 0.4
"""Seconds between two looks at a table that is being scored."""

_GONE = "These scores are no longer kept. Press Score again."


class Results:
    """The handlers, with what they need."""

    def __init__(self, view: ResultsView, folder: Path, *, local: bool) -> None:
        """Keep what is drawn on and where runs lie; `local` visitors may name files."""
        self.view = view
        self.folder = folder
        self.local = local
        self._scoring: Scoring | None = None

    def look(self, group: str | None, picked: Sequence[str] | None) -> Frame:
        """Look for runs again; what is chosen stays chosen where it is still there."""
        found, view = find_runs(self.folder), self.view.choose
        groups = found.groups
        newest = groups[0] if groups else EVERY_GROUP
        group = group if group in (*groups, EVERY_GROUP) and picked else newest
        listed = [(one, one) for one in groups]
        if len(groups) > 1:
            listed.append(("All data and protocols", EVERY_GROUP))
        return {
            view.empty: "" if groups or found.unfinished else EMPTY,
            view.form: gr.update(visible=bool(groups)),
            view.group: gr.update(choices=listed, value=group if groups else None),
            view.unfinished: _unfinished_html(found),
        } | self._listed(found, group, picked or ())

    def filter(self, group: str | None) -> Frame:
        """Show the runs of another group, none of them chosen."""
        return self._listed(find_runs(self.folder), group or EVERY_GROUP, ())

    def choose_all(self, group: str | None) -> Frame:
        """Choose every run that is listed."""
        found, group = find_runs(self.folder), group or EVERY_GROUP
        return self._listed(found, group, [run.name for run in found.of(group)])

    def _listed(self, found: Found, group: str, picked: Sequence[str]) -> Frame:
        """The list of runs."""
        runs = found.of(group)
        names = {run.name for run in runs}
        return {
            self.view.choose.runs: gr.update(
                choices=choices(runs, grouped=group == EVERY_GROUP and len(found.groups) > 1),
                value=[name for name in picked if name in names],
            )
        }

    def score(
        self, picked: Sequence[str] | None, profile: str, draws: int, data: str | None
    ) -> Iterator[Frame]:
        """Score the chosen runs; says how far it is until the table is there."""
        view = self.view.choose
        try:
            asked = self._asked(picked or (), profile, draws, (data or "").strip())
            job = self._scorer().start(asked)
        except EscError as error:
            yield {view.progress: notice_html(str(error))}
            return
        while not job.wait(LOOK_S):
            yield {view.progress: _progress_html(job), view.score: gr.update(interactive=False)}
        ready: Frame = {view.score: gr.update(interactive=True)}
        if job.result is None:
            yield ready | {view.progress: notice_html(job.problem)}
            return
        yield ready | {view.progress: ""} | self._shown(asked, job.result)

    def _asked(self, picked: Sequence[str], profile: str, draws: int, data: str) -> Asked:
        """What is to be scored. Names are looked up, so that no other file can be asked for.

        Raises:
            BadInput: nothing is chosen, or something that is not offered.
        """
        from esc_demo.ui.results_score import Asked, stamp  # noqa: PLC0415 (leads to the scorer)

        runs = find_runs(self.folder).named(picked)
        if not picked:
            raise BadInput("No run is chosen. Tick one or more, then press Score.")
        if len(runs) < len(set(picked)):
            raise BadInput("A chosen run is gone or unfinished. Press Refresh and choose again.")
        if profile not in [value for _, value in PROFILES]:
            raise BadInput(f"There is no metric profile {profile!r}. Choose one of those shown.")
        if draws not in [value for _, value in DRAWS]:
            raise BadInput(f"{draws!r} draws are not offered. Choose one of the numbers shown.")
        file = Path(data).expanduser() if data and self.local else None
        if file is not None and not file.exists():
            file = PROJECT_ROOT / file
        files = tuple(run.path for run in runs)
        stamps = tuple(stamp(run.path, run.run_hash) for run in runs)
        return Asked(files, stamps, profile, draws, file)

    def _shown(self, asked: Asked, scored: Scored) -> Frame:
        """A table that has just been scored."""
        show, read = self.view.show, self.view.read
        metrics, slices = metric_choices(scored), dimensions(scored)
        metric = DEFAULT_METRIC if DEFAULT_METRIC in metrics else metrics[0]
        by = first_dimension(scored)
        frame: Frame = {
            self.view.asked: asked,
            show.group: gr.update(visible=True),
            show.columns: MAIN,
            show.table: table_html(scored, MAIN),
            show.differences: differences_html(scored),
            show.header: header_html(scored),
            show.metric: gr.update(choices=metrics, value=metric),
            show.by: gr.update(choices=slices, value=by, visible=bool(slices)),
            read.find: "",
            read.order: Order.DATA.value,
            read.reader: "",
        }
        for name, button in zip(FILES, show.files, strict=True):
            frame[button] = gr.update(value=scored.files[name])
        frame |= self._charts(scored, metric, by)
        return frame | self._list(scored, "", Order.DATA, metric, (0, None))

    def columns(self, asked: Asked | None, which: str) -> Frame:
        """Show other columns of the table."""
        scored = self._kept(asked)
        return {self.view.show.table: table_html(scored, which) if scored else notice_html(_GONE)}

    def charts(
        self, asked: Asked | None, metric: str, by: str | None, find: str, order: str, place: Any
    ) -> Frame:
        """Draw another metric or dimension; the list is sorted by the metric too."""
        scored = self._kept(asked)
        if scored is None:
            return {self.view.show.caption: notice_html(_GONE)}
        frame = self._charts(scored, metric, by)
        return frame | self._list(scored, find, order, metric, place)

    def _charts(self, scored: Scored, metric: str, by: str | None) -> Frame:
        """Both charts with their words."""
        show = self.view.show
        marks, columns = trade_off(scored, metric), bars(scored, metric, by or "")
        return {
            show.plot: _plot(marks),
            show.caption: trade_off_html(scored, metric),
            show.picture: gr.update(visible=marks is not None),
            show.bars: _plot(columns),
            show.bars_text: bars_html(scored, metric, by or ""),
        }

    def items(
        self, asked: Asked | None, find: str, order: str, metric: str, place: Any, step: int
    ) -> Frame:
        """Turn a page of the list, or with `step` 0 begin anew at its first."""
        scored = self._kept(asked)
        if scored is None:
            return {self.view.read.items: notice_html(_GONE)}
        page, current = place
        place = (page + step if step else 0, current)
        return self._list(scored, find, order, metric, place)

    def _list(self, scored: Scored, find: str, order: str, metric: str, place: Any) -> Frame:
        """A page of the list with its buttons."""
        read = self.view.read
        page, current = place
        listed = list_html(scored, find or "", order, metric, page, current)
        return {
            read.items: listed.html,
            read.page: (listed.page, current),
            read.back: gr.update(interactive=listed.page > 0),
            read.on: gr.update(interactive=listed.page < listed.pages - 1),
        }

    def read(self, asked: Any, metric: str, place: Any, event: gr.EventData) -> Frame:
        """Show the replies to the item that was picked.

        No annotation here may need the scorer: gradio looks for the event by resolving them.
        """
        return self.read_item(asked, metric, place, getattr(event, "item", None))

    def read_item(self, asked: Asked | None, metric: str, place: Any, item: object) -> Frame:
        """Show the replies to an item by its number, which comes from the page."""
        scored, read = self._kept(asked), self.view.read
        if scored is None:
            return {read.reader: notice_html(_GONE)}
        if not isinstance(item, int) or not 0 <= item < len(scored.items):
            return {read.reader: notice_html("There is no such reply. Choose one from the list.")}
        try:
            shown = read_html(scored, item, metric)
        except EscError as error:
            return {read.reader: notice_html(str(error))}
        return {read.reader: shown, read.page: (place[0], item)}

    def _scorer(self) -> Scoring:
        """Made on first use."""
        if self._scoring is None:
            from esc_demo.ui.results_score import Scoring  # noqa: PLC0415 (leads to the scorer)

            self._scoring = Scoring()
        return self._scoring

    def _kept(self, asked: Asked | None) -> Scored | None:
        """The table a page shows; None where it was forgotten."""
        return self._scorer().kept(asked)


def build_results(page: gr.Blocks, tab: gr.Tab, settings: Settings) -> None:
    """Lay out and wire the tab's first section in the present block of `page`."""
    view = build_results_view(local=settings.train_tab)
    do = Results(view, RUNS, local=settings.train_tab)
    choose, show, read = view.choose, view.show, view.read
    lists: list[Any] = [choose.empty, choose.form, choose.group, choose.runs, choose.unfinished]
    charts: list[Any] = [show.plot, show.caption, show.picture, show.bars, show.bars_text]
    listed: list[Any] = [read.items, read.order, read.page, read.back, read.on]
    whole: list[Any] = [show.group, show.columns, show.table, show.differences, show.header]
    whole += [show.metric, show.by, *show.files, read.find, read.reader, view.asked]
    query: list[Any] = [read.find, read.order]

    looking: list[Any] = [choose.group, choose.runs]
    for event in (page.load, tab.select):
        event(do.look, looking, lists, **_QUICK)
    public = _QUICK | {"api_visibility": "public"}  # a program looks first, then scores
    choose.refresh.click(do.look, looking, lists, **public, api_name="find_runs")
    # Not `input`: that comes again when the list loses the focus, and would undo a choice.
    choose.group.change(do.filter, choose.group, choose.runs, **_QUICK)
    choose.every.click(do.choose_all, choose.group, choose.runs, **_QUICK)
    choose.none.click(lambda: [], None, choose.runs, **_QUICK)
    choose.score.click(
        do.score,
        [choose.runs, choose.profile, choose.draws, choose.data],
        [choose.progress, choose.score, *whole, *charts, *listed],
        **public,
        api_name="score_runs",
    )
    show.columns.input(do.columns, [view.asked, show.columns], show.table, **_QUICK)
    drawn: list[Any] = [view.asked, show.metric, show.by, *query, read.page]
    for choice in (show.metric, show.by):
        choice.input(do.charts, drawn, [*charts, *listed], **_QUICK)
    show.picture.click(None, js=PICTURE_JS, api_visibility="private")
    place: list[Any] = [view.asked, *query, show.metric, read.page]
    for event, step in (
        (read.find.change, 0),
        (read.order.input, 0),
        (read.back.click, -1),
        (read.on.click, 1),
    ):
        event(_stepping(do, step), place, listed, trigger_mode="always_last", **_QUICK)
    read.items.click(
        do.read, [view.asked, show.metric, read.page], [read.reader, read.page], **_QUICK
    ).then(None, js=SHOW_READER_JS, api_visibility="private")


def _stepping(do: Results, step: int) -> Any:
    """A handler that turns the list by `step` pages."""

    def turn(asked: Any, find: str, order: str, metric: str, place: Any) -> Frame:
        return do.items(asked, find, order, metric, place, step)

    return turn


def _plot(figure: str | None) -> Any:
    """A chart, or none."""
    if figure is None:
        return gr.update(value=None, visible=False)
    return gr.update(value=PlotData(type="plotly", plot=figure), visible=True)


def _progress_html(job: Job) -> str:
    """The bar and what is being done."""
    percent = round(100 * job.share)
    return (
        '<div class="esc-run"><div class="esc-bar" role="progressbar" aria-label="Scoring"'
        f' aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent}">'
        f'<span style="width: {percent}%"></span></div>'
        f'<p class="esc-run-line" role="status">{escape(job.stage)}</p></div>'
    )


def _unfinished_html(found: Found) -> str:
    """Runs that cannot be scored yet."""
    if not found.unfinished:
        return ""
    named = "; ".join(
        f"{escape(run.name)} ({run.replies:,} of {run.items:,} replies)" for run in found.unfinished
    )
    return f'<p class="esc-hint">Unfinished, go on with them with --resume: {named}.</p>'
