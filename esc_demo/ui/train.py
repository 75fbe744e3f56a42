"""The Train tab: what its buttons do, each as a plain function, and how they are connected.

A run belongs to the machine, not to a visitor: every page shows the same runs.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from esc_demo.errors import BadInput, EscError
from esc_demo.models.registry import ModelRegistry
from esc_demo.settings import PROJECT_ROOT
from esc_demo.ui.compare import CompareTab
from esc_demo.ui.frames import Frame, notice_html
from esc_demo.ui.session import PANE_NAMES
from esc_demo.ui.train_show import (
    curve_data,
    curve_html,
    duration,
    metrics_of,
    plan_html,
    report_html,
    state_html,
    table_html,
)
from esc_demo.ui.train_view import TrainView, build_train_view
from finetune.data import load_parts
from finetune.data.check import check
from finetune.job import Jobs, Run, gpus_here
from finetune.opened import spec_of
from finetune.plan import plan, runs_here
from finetune.recipes import Recipe, load_recipe, with_data
from finetune.runs import RunState
from finetune.shapes import shape_of

_QUICK: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_limit": 4,
    "concurrency_id": "train",
}


class Training:
    """The handlers, with what they need."""

    def __init__(
        self, view: TrainView, jobs: Jobs, registry: ModelRegistry, compare: CompareTab
    ) -> None:
        """Keep what is drawn on, the runs, and where results are opened."""
        self.view = view
        self.jobs = jobs
        self.registry = registry
        self.compare = compare

    def opened(self, recipe: str | None) -> Frame:
        """The page was opened: the run that is going on is shown again."""
        return self._all(None) | self.choose(recipe)

    def seen(self, picked: str | None, shown: Any) -> Frame:
        """The tab was opened: another page may have started something."""
        going = self.jobs.running()
        return self._all(going.name if going else picked, shown)

    def choose(self, recipe: str | None) -> Frame:
        """Show the plan of a recipe; it can be started if it runs here."""
        setup = self.view.setup
        frame: Frame = {setup.confirm: gr.update(visible=False), setup.notice: ""}
        try:
            loaded = _recipe(recipe)
            gpus = min(gpus_here(), loaded.gpus) or None
            shown = plan_html(plan(loaded, shape_of(loaded.base), gpus=gpus))
        except EscError as error:
            return frame | {setup.plan: notice_html(str(error)), setup.start: _button(False)}
        problem = _runs_here(loaded)
        if problem:
            shown = f'<p class="esc-note" role="status">{escape(problem)}</p>' + shown
        return frame | {setup.plan: shown, setup.start: _button(not problem)}

    def check(self, recipe: str | None, data: str | None) -> Frame:
        """Read the data and say what is in it."""
        try:
            loaded = _recipe(recipe)
            text = _checked(loaded, (data or "").strip())
        except EscError as error:
            return {self.view.setup.checked: notice_html(str(error))}
        return {self.view.setup.checked: report_html("What the data hold", text)}

    def take(self, file: str | None) -> Frame:
        """Keep an uploaded file and put its path into the box."""
        setup = self.view.setup
        if not file:
            return {setup.data: gr.skip(), setup.checked: gr.skip()}
        try:
            kept = self.jobs.keep(Path(file))
        except OSError as error:
            problem = f"The upload could not be kept: {error.strerror or error}."
            return {setup.data: gr.skip(), setup.checked: notice_html(problem)}
        return {setup.data: gr.update(value=str(kept)), setup.checked: ""}

    def ask(self, recipe: str | None) -> Frame:
        """Ask before starting, and say how long it may take where that is known."""
        setup = self.view.setup
        try:
            loaded = _recipe(recipe)
            if problem := _runs_here(loaded):
                raise BadInput(problem)
        except EscError as error:
            return {setup.notice: notice_html(str(error)), setup.confirm: gr.update(visible=False)}
        took = self._took(loaded)
        known = (
            f"The last such run here took {duration(took)}."
            if took
            else "How long it takes is not known yet; the page says so after the first steps."
        )
        text = f"<p>Train {escape(loaded.name)} on this machine now? {known}</p>"
        return {setup.notice: "", setup.question: text, setup.confirm: gr.update(visible=True)}

    def start(self, recipe: str | None, data: str | None, picked: str | None) -> Frame:
        """Begin; the new run is shown."""
        setup = self.view.setup
        frame: Frame = {setup.confirm: gr.update(visible=False), setup.notice: ""}
        try:
            _recipe(recipe)
            run = self.jobs.start((recipe or "").strip(), (data or "").strip() or None)
        except EscError as error:
            return self._all(picked) | frame | {setup.notice: notice_html(str(error))}
        return self._all(run.name) | frame

    def pick(self, picked: str | None) -> Frame:
        """Show another run."""
        return self._all(picked) | self._unasked()

    def ask_stop(self, picked: str | None) -> Frame:
        """Ask before stopping."""
        run, view = self._find(picked), self.view.run
        if run is None or not run.active:
            return self._all(picked) | self._unasked()
        text = "Stop it? It finishes its step, saves a checkpoint, and can be resumed."
        if run.status.state is RunState.PREPARING:
            text = "Stop it? It is still preparing, so there is nothing to save yet."
        if self.jobs.stopping(run):
            text = "End it at once? What it did since its last checkpoint is lost."
        return {
            view.question: f"<p>{text}</p>",
            view.confirm: gr.update(visible=True),
            view.notice: "",
        }

    def stop(self, picked: str | None) -> Frame:
        """Ask the run to end."""
        return self._do(picked, lambda name: self.jobs.stop(name))

    def resume(self, picked: str | None) -> Frame:
        """Go on with a run."""
        return self._do(picked, lambda name: f"{self.jobs.resume(name).name} goes on.")

    def _do(self, picked: str | None, action: Any) -> Frame:
        """Do something with the picked run and say what came of it."""
        try:
            note = notice_html("", action(picked or ""))
        except EscError as error:
            note = notice_html(str(error))
        return self._all(picked) | self._unasked() | {self.view.run.notice: note}

    def open(self, request: gr.Request, picked: str | None) -> Frame:
        """Offer the result of a run in every pane's list, and open a pane with it."""
        notice = self.view.run.notice
        try:
            spec = spec_of(self.jobs.look(picked or "").folder, self.registry.catalogue)
            self.registry.catalogue.add(spec)
        except EscError as error:
            return {notice: notice_html(str(error))}
        pane, frame = self.compare.actions.open_model(request, spec.id)
        if pane is None:
            text = f"All panes are in use: pick {spec.label} in the list of one on the Compare tab."
        else:
            text = (
                f"{spec.label} is open in pane {PANE_NAMES[pane]} of the Compare tab, and in the"
                " list of every pane."
            )
        return frame | {notice: notice_html("", text)}

    def tick(self, picked: str | None, shown: Any) -> Frame:
        """What has changed while a run is going on."""
        return self._all(picked, shown)

    def _all(self, picked: str | None, shown: Any = None) -> Frame:
        """The runs, and the picked one: by default the one that is going on, or the newest."""
        view, runs = self.view, self.jobs.runs()
        going = next((run for run in runs if run.active), None)
        by_name = {run.name: run for run in runs}
        run = by_name.get(picked or "") or going or next(iter(runs), None)
        frame: Frame = {
            view.run.picker: gr.update(
                choices=[(_choice(one), one.name) for one in runs],
                value=run.name if run else None,
                visible=bool(runs),
            ),
            view.table: table_html(runs),
            view.timer: gr.Timer(active=going is not None),
        }
        return frame | self._one(run, shown)

    def _one(self, run: Run | None, shown: Any) -> Frame:
        """One run with its buttons; the curve only where `shown` is older."""
        view = self.view.run
        steps = run.folder.steps() if run else []
        state = run.status.state if run else None
        stopping = run is not None and self.jobs.stopping(run)
        log = self.jobs.log_tail(run.name) if run and not run.active else ""
        drawn = (run.name if run else "", len(steps))
        frame: Frame = {
            view.state: state_html(run, steps, log, stopping=stopping),
            view.reading: curve_html(steps),
            view.stop: gr.update(
                visible=state in (RunState.PREPARING, RunState.RUNNING),
                value="End at once" if stopping else "Stop",
            ),
            view.resume: gr.update(visible=bool(run and _resumable(run))),
            view.open: gr.update(visible=state is RunState.FINISHED),
            self.view.shown: drawn,
        }
        if tuple(shown or ()) != drawn:
            enough = sum(step.loss is not None for step in steps) > 1
            frame[view.curve] = gr.update(value=curve_data(steps), visible=enough)
        if run is None or not run.active:
            frame[view.confirm] = gr.update(visible=False)
        return frame

    def _unasked(self) -> Frame:
        """No question, no notice."""
        return {self.view.run.confirm: gr.update(visible=False), self.view.run.notice: ""}

    def _find(self, picked: str | None) -> Run | None:
        try:
            return self.jobs.look(picked or "")
        except EscError:
            return None

    def _took(self, recipe: Recipe) -> float | None:
        """Seconds the newest finished run of a recipe on its own data took here."""
        for run in self.jobs.runs():
            seconds = metrics_of(run.folder).get("train_seconds")
            if isinstance(seconds, int | float) and run.folder.recipe() == recipe:
                return float(seconds)
        return None


def build_train(page: gr.Blocks, tab: gr.Tab, registry: ModelRegistry, compare: CompareTab) -> None:
    """Lay out and wire the tab in the present block of `page`."""
    view = build_train_view()
    do = Training(view, Jobs(), registry, compare)
    setup, run = view.setup, view.run
    one: list[Any] = [
        view.table,
        view.timer,
        view.shown,
        run.picker,
        run.state,
        run.curve,
        run.reading,
    ]
    one += [run.stop, run.resume, run.open, run.confirm, run.question, run.notice]
    form: list[Any] = [setup.plan, setup.start, setup.confirm, setup.question, setup.notice]

    setup.recipe.change(do.choose, setup.recipe, form, **_QUICK)
    setup.check.click(do.check, [setup.recipe, setup.data], setup.checked, **_QUICK)
    setup.data.input(lambda: "", None, setup.checked, **_QUICK)  # what it says is of other data
    setup.upload.upload(do.take, setup.upload, [setup.data, setup.checked], **_QUICK)
    setup.start.click(do.ask, setup.recipe, form, **_QUICK)
    setup.no.click(lambda: gr.update(visible=False), None, setup.confirm, **_QUICK)
    setup.yes.click(do.start, [setup.recipe, setup.data, run.picker], [*form, *one], **_QUICK)
    run.picker.input(do.pick, run.picker, one, **_QUICK)
    run.stop.click(do.ask_stop, run.picker, one, **_QUICK)
    run.no.click(lambda: gr.update(visible=False), None, run.confirm, **_QUICK)
    run.yes.click(do.stop, run.picker, one, **_QUICK)
    run.resume.click(do.resume, run.picker, one, **_QUICK)
    run.open.click(do.open, run.picker, [run.notice, *compare.drawn], **_QUICK)
    view.timer.tick(do.tick, [run.picker, view.shown], one, **_QUICK)
    tab.select(do.seen, [run.picker, view.shown], one, **_QUICK)
    page.load(do.opened, setup.recipe, [*form, *one], **_QUICK)


def _recipe(name: str | None) -> Recipe:
    """The recipe that was picked or typed.

    Raises:
        ConfigError: there is none of that name, or it is wrong.
    """
    name = (name or "").strip()
    if not name:
        raise BadInput("No recipe is chosen. Pick one from the list, or type a path.")
    return load_recipe(name)


def _runs_here(recipe: Recipe) -> str | None:
    """Why a recipe cannot run on this machine."""
    return runs_here(recipe, gpus_here() > 0, gpus_here())


def _checked(recipe: Recipe, data: str) -> str:
    """What lies in people's own file, and in the parts the recipe would make of it.

    Raises:
        BadInput: a file is unusable, or two parts share a dialogue.
    """
    report: list[str] = []
    if data:
        path = Path(data).expanduser()
        path = path if path.exists() else PROJECT_ROOT / path
        report = [check(path).as_text(), ""]
        recipe = with_data(recipe, path)
    parts = load_parts(recipe.data, PROJECT_ROOT)
    named = {"train": parts.train, "validation": parts.validation, "held-out": parts.heldout}
    report += [
        f"{name}: {len(part):,} dialogues,"
        f" {sum(len(dialogue.turns) for dialogue in part):,} utterances"
        for name, part in named.items()
        if part
    ]
    return "\n".join([*report, "No two parts share a dialogue."])


def _resumable(run: Run) -> bool:
    """Whether going on with a run may lead anywhere."""
    if run.active or not run.folder.recipe_file.exists():
        return False
    if run.status.state is RunState.FAILED:
        return run.folder.last_checkpoint() is not None
    return run.status.state is RunState.INTERRUPTED


def _choice(run: Run) -> str:
    """How a run is called in the list."""
    return f"{run.name} · going on" if run.active else run.name


def _button(interactive: bool) -> dict[str, Any]:
    return dict(gr.update(interactive=interactive))
