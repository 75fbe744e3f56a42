"""Which models are loaded, loading or failed; loading happens behind the page's back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from esc_demo.errors import EscError, ModelError
from esc_demo.models.protocol import ChatModel, StopSignal
from esc_demo.models.specs import ModelCatalogue, ModelSpec

_log = logging.getLogger(__name__)

Progress = Callable[[str], None]
"""Called with a short note on what is being done, such as "reading base weights"."""

Loader = Callable[[ModelSpec, Progress], ChatModel]
"""Makes a model ready; raises EscError with a text for people when it cannot."""


class LoadPhase(StrEnum):
    """Where a model stands."""

    IDLE = "idle"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class LoadState:
    """Phase and a note for people: what is being done, or why it failed."""

    phase: LoadPhase
    note: str = ""


class ModelRegistry:
    """Loads models one after another in a background thread, on first need or ahead of it."""

    def __init__(self, catalogue: ModelCatalogue, loader: Loader) -> None:
        """Offer the models of `catalogue`, made ready by `loader`."""
        self.catalogue = catalogue
        self._loader = loader
        self._changed = threading.Condition()
        self._loading = threading.Lock()
        self._states: dict[str, LoadState] = {}
        self._models: dict[str, ChatModel] = {}

    def start(self, model_ids: Sequence[str]) -> None:
        """Begin loading these models, in this order, without waiting."""
        wanted = [self.catalogue[model_id].id for model_id in model_ids]
        with self._changed:
            absent = [model_id for model_id in wanted if model_id not in self._models]
            for model_id in absent:
                self._states[model_id] = LoadState(LoadPhase.LOADING, "waiting")
            self._changed.notify_all()

        def load_in_turn() -> None:
            for model_id in absent:
                self._load(model_id)

        threading.Thread(target=load_in_turn, name="model-loader", daemon=True).start()

    def state(self, model_id: str) -> LoadState:
        """Where a model stands."""
        with self._changed:
            return self._states.get(model_id, LoadState(LoadPhase.IDLE))

    def get(self, model_id: str, stop: StopSignal | None = None) -> ChatModel:
        """The model, once it is loaded; a failed load is tried again.

        Raises:
            EscError: unknown id, not loadable, or `stop` was set while waiting.
        """
        self.catalogue[model_id]
        if self.state(model_id).phase in (LoadPhase.IDLE, LoadPhase.FAILED):
            self.start([model_id])
        while True:
            with self._changed:
                if model_id in self._models:
                    return self._models[model_id]
                state = self._states[model_id]
                if state.phase is LoadPhase.FAILED:
                    raise ModelError(state.note)
                self._changed.wait(0.1)
            if stop is not None and stop.is_set():
                raise ModelError("Stopped while the model was still loading.")

    def _load(self, model_id: str) -> None:
        """Load one model and record how it went."""
        with self._loading:
            if model_id in self._models:
                return
            spec = self.catalogue[model_id]
            try:
                model = self._loader(
                    spec, lambda note: self._set(model_id, LoadState(LoadPhase.LOADING, note))
                )
            except EscError as error:
                self._set(model_id, LoadState(LoadPhase.FAILED, str(error)))
            except Exception as error:
                _log.exception("loading %s failed", model_id)
                note = f"{spec.label} could not be loaded ({type(error).__name__}: {error})."
                self._set(model_id, LoadState(LoadPhase.FAILED, note))
            else:
                with self._changed:
                    self._models[model_id] = model
                    self._states[model_id] = LoadState(LoadPhase.READY, model.notice)
                    self._changed.notify_all()

    def _set(self, model_id: str, state: LoadState) -> None:
        """Record a state and wake those who wait."""
        with self._changed:
            self._states[model_id] = state
            self._changed.notify_all()
