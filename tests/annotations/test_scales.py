"""The wording of the scales."""

from pathlib import Path

import pytest
import yaml

import annotations
from annotations import Choice, Dimension, load_scales
from annotations.scales import read_scales
from esc_demo.errors import ConfigError

SHIPPED = Path(annotations.__file__).parent / "scales.yaml"


def test_every_point_of_every_dimension_has_its_own_short_meaning():
    scales = load_scales()
    assert list(scales.dimensions) == list(Dimension)
    texts = [text for scale in scales.dimensions.values() for text in scale.points.values()]
    assert len(set(texts)) == len(texts) == 24
    assert max(map(len, texts)) < 90
    assert set(scales.preference.choices) == set(Choice)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: data.update(colour="red"), "colour"),
        (lambda data: data.pop("version"), "version"),
        (lambda data: data["dimensions"].pop("comforting"), "no scale for comforting"),
        (lambda data: data["dimensions"]["comforting"]["points"].pop(5), "dimensions.comforting"),
        (
            lambda data: data["dimensions"]["comforting"]["points"].update({4: "x", 5: "X"}),
            "same meaning",
        ),
        (
            lambda data: data["dimensions"]["comforting"]["points"].update({4: "x" * 90}),
            "89 characters",
        ),
        (lambda data: data["preference"]["choices"].pop("tie"), "no wording for tie"),
    ],
)
def test_a_spoilt_file_is_refused_by_name(tmp_path, spoil, said):
    data = yaml.safe_load(SHIPPED.read_text("utf-8"))
    spoil(data)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data), "utf-8")
    with pytest.raises(ConfigError, match=said) as caught:
        read_scales(path)
    assert "mine.yaml" in str(caught.value)


def test_an_unreadable_file_is_refused(tmp_path):
    (tmp_path / "broken.yaml").write_text("a: [", "utf-8")
    for name in ("none.yaml", "broken.yaml"):
        with pytest.raises(ConfigError, match=name):
            read_scales(tmp_path / name)
