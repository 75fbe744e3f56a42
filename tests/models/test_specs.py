"""`models.yaml` is checked, and unknown keys are refused."""

import pytest

from esc_demo.errors import BadInput, ConfigError
from esc_demo.models import GenerationParams, load_specs
from esc_demo.settings import get_settings

GOOD = """
version: 1
default_panes: [a]
models:
  - {id: a, label: A, family: f, base: x/y, variant: base, context_length: 100}
"""


def load(tmp_path, text):
    path = tmp_path / "models.yaml"
    path.write_text(text)
    return load_specs(path)


def test_the_shipped_list_offers_the_papers_models():
    catalogue = load_specs(get_settings().models_file)
    assert catalogue.default_panes == ("base", "lora", "full")
    bases = {spec.base for spec in catalogue.specs.values()}
    assert {"mistralai/Mistral-7B-Instruct-v0.2", "Qwen/Qwen2.5-72B-Instruct"} <= bases


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("family: f", "family: f, colour: red", "colour"),
        ("variant: base", "variant: lora", "needs 'adapter'"),
        ("variant: base", "variant: base, weights: w", "must not have 'weights'"),
        ("default_panes: [a]", "default_panes: [b]", "unknown models"),
        ("context_length: 100", "context_length: 0", "context_length"),
        ("version: 1", "version: 2", "version"),
        ("models:", "models: [", "YAML"),
    ],
)
def test_a_wrong_list_names_the_entry(tmp_path, old, new, said):
    assert load(tmp_path, GOOD)["a"].label == "A"
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, GOOD.replace(old, new))


def test_an_unknown_model_lists_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"no model 'zzz'.*a"):
        load(tmp_path, GOOD)["zzz"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", float("nan")),
        ("temperature", -1),
        ("top_p", 0),
        ("top_k", 2.5),
        ("seed", None),
        ("temperature", 1e-39),
        ("max_new_tokens", 0),
    ],
)
def test_parameters_out_of_range_are_named(field, value):
    with pytest.raises(BadInput, match=field):
        GenerationParams(**{field: value})
