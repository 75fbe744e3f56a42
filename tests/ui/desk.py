"""The handlers of one page over a real store, without a server."""

import asyncio
import time
from types import SimpleNamespace

import gradio as gr

from annotations import Store
from esc_demo.models.registry import ModelRegistry
from esc_demo.models.scripted import ScriptedModel
from esc_demo.models.specs import load_specs
from esc_demo.settings import Settings, get_settings
from esc_demo.ui.actions import Actions
from esc_demo.ui.controls import PROFILE_FIELDS
from esc_demo.ui.frames import Frames
from esc_demo.ui.judging import Judging
from esc_demo.ui.live import Visitors
from esc_demo.ui.view import build_view

REQUEST = SimpleNamespace(session_hash="a-visitor")

NOBODY = ("",) * len(PROFILE_FIELDS)
"""An empty profile, as the page posts it."""


async def lay_out(catalogue):
    """The components, made inside a running loop, because gradio would leave its own open."""
    with gr.Blocks(analytics_enabled=False):
        return build_view(catalogue, Settings(seed=7))


class Desk:
    """The handlers of one page."""

    def __init__(self, folder, delay=0.0):
        catalogue = load_specs(get_settings().models_file)
        self.store = Store(f"sqlite:///{folder}/esc.db")
        self.registry = ModelRegistry(catalogue, lambda spec, _: ScriptedModel(spec, delay=delay))
        self.view = asyncio.run(lay_out(catalogue))
        self.visitors = Visitors(catalogue.default_panes)
        frames = Frames(self.view, self.registry)
        self.actions = Actions(self.store, self.registry, self.visitors, frames)
        self.judging = Judging(self.store, self.visitors, frames)
        panes = [part for pane in self.view.panes for part in pane.inputs()]
        self.values = [part.value for part in [*self.view.controls.inputs(), *panes]]
        self.visitor = self.visitors.get(REQUEST.session_hash)

    def send(self, text):
        return self.actions.send(REQUEST, text, *self.values)

    def stored(self):
        return self.store.generations(self.visitor.chat.conversation_id)


def wait_for(condition, patience=10):
    end = time.monotonic() + patience
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()
