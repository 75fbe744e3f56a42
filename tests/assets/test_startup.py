"""Models fetch what they need before they load, so that a Space sets itself up."""

import logging

import pytest

from esc_demo import startup
from esc_demo.assets import ensure_assets, missing
from esc_demo.models import load_specs
from esc_demo.models.scripted import ScriptedModel


@pytest.fixture
def assets(settings, make_asset, monkeypatch):
    """A small catalogue whose weights are those of the default models."""
    hub = load_specs(settings.models_file).specs["base"].base
    found = (make_asset("tiny", kind="weights", hub=hub), make_asset("tagger"))
    monkeypatch.setattr(startup, "load_assets", lambda: found)
    return found


@pytest.fixture
def load(settings, converter, monkeypatch):
    """Loads a default model as far as PyTorch would begin."""
    monkeypatch.setattr(startup, "_convert", converter)
    monkeypatch.setattr("esc_demo.models.local.load_model", lambda spec, note: ScriptedModel(spec))
    return startup.make_registry(settings).get


def test_both_weights_and_tagger_are_fetched(settings, assets, load):
    load("base")
    assert missing(settings, assets) == []


def test_a_missing_tagger_is_fetched_though_the_weights_are_there(
    settings, assets, load, converter
):
    ensure_assets(settings, print, converter, assets[:1])
    load("base")
    assert missing(settings, assets) == []


def test_without_a_tagger_models_load_and_it_is_asked_for_once(
    settings, assets, load, index, caplog
):
    (index / assets[1].wheel.file).unlink()
    with caplog.at_level(logging.WARNING):
        assert load("base") and load("lora")
    assert missing(settings, assets) == [assets[1]]
    assert sum("test asset tagger" in record.message for record in caplog.records) == 1
