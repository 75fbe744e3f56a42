"""Loading behind the page's back: waiting, failing, trying again."""

import threading
import time

import pytest

from esc_demo.errors import ConfigError, ModelError
from esc_demo.models import StopSignal
from esc_demo.models.registry import LoadPhase, ModelRegistry
from esc_demo.models.scripted import ScriptedModel
from esc_demo.models.specs import ModelCatalogue, ModelSpec

SPEC = ModelSpec(id="a", label="A", family="f", base="x/y", variant="base", context_length=100)
CATALOGUE = ModelCatalogue({"a": SPEC}, ("a",))


def test_get_waits_for_a_slow_load_and_loads_once():
    calls = []

    def slow(spec, progress):
        calls.append(spec.id)
        progress("half way")
        time.sleep(0.2)
        return ScriptedModel(spec)

    registry = ModelRegistry(CATALOGUE, slow)
    assert registry.state("a").phase is LoadPhase.IDLE
    registry.start(["a"])
    models = []
    threads = [threading.Thread(target=lambda: models.append(registry.get("a"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == ["a"]
    assert len({id(model) for model in models}) == 1
    assert registry.state("a").phase is LoadPhase.READY


def test_starting_a_ready_model_again_leaves_it_ready():
    registry = ModelRegistry(CATALOGUE, lambda spec, progress: ScriptedModel(spec))
    registry.get("a")
    registry.start(["a"])
    assert registry.state("a").phase is LoadPhase.READY


def test_a_failed_load_says_why_and_is_tried_again():
    outcomes = iter([ModelError("No weights. Run setup."), OSError("disk"), None])

    def loader(spec, progress):
        if (error := next(outcomes)) is not None:
            raise error
        return ScriptedModel(spec)

    registry = ModelRegistry(CATALOGUE, loader)
    with pytest.raises(ModelError, match="Run setup"):
        registry.get("a")
    assert registry.state("a").phase is LoadPhase.FAILED
    with pytest.raises(ModelError, match="disk"):
        registry.get("a")
    assert registry.get("a").spec is SPEC


def test_stop_ends_the_wait_for_a_load():
    release = threading.Event()

    def stuck(spec, progress):
        release.wait(10)
        return ScriptedModel(spec)

    registry = ModelRegistry(CATALOGUE, stuck)
    stop = StopSignal()
    threading.Timer(0.1, stop.set).start()
    started = time.monotonic()
    with pytest.raises(ModelError, match="Stopped"):
        registry.get("a", stop)
    assert time.monotonic() - started < 2
    release.set()


def test_unknown_models_are_refused_before_anything_is_loaded():
    with pytest.raises(ConfigError, match="no model 'b'"):
        ModelRegistry(CATALOGUE, lambda spec, progress: None).get("b")
