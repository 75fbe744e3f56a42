"""Numbers of the advanced settings, refused under the name they have on the page."""

import pytest

from esc_demo.errors import BadInput
from esc_demo.ui.controls import read_settings

NUMBERS = {
    "Temperature": 0,
    "Top-p": 1,
    "Top-k": 2,
    "Max new tokens": 3,
    "Seed of the conversation": 4,
    "Last-k window": 7,
}


def settings(desk, label=None, value=None):
    values = desk.values[: len(desk.view.controls.inputs())]
    if label:
        component = desk.view.controls.inputs()[NUMBERS[label]]
        assert component.label == label
        values[NUMBERS[label]] = component.preprocess(value)
    return read_settings(values, {0: ("raw", False, True)}, {0: "base"})


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("Temperature", 3),
        ("Temperature", float("nan")),
        ("Top-p", 0),
        ("Top-k", 1.7),
        ("Top-k", -1),
        ("Max new tokens", 100_000),
        ("Max new tokens", None),
        ("Seed of the conversation", -5),
        ("Seed of the conversation", 1.7),
        ("Seed of the conversation", float("inf")),
        ("Seed of the conversation", "seven"),
        ("Seed of the conversation", True),
        ("Last-k window", -1),
        ("Last-k window", 2.5),
        ("Last-k window", None),
    ],
)
def test_a_wrong_number_is_named_as_on_the_page(desk, label, value):
    with pytest.raises(BadInput, match=f"^{label} is .*Advanced settings"):
        settings(desk, label, value)


def test_a_whole_number_may_come_as_a_fraction_of_nothing(desk):
    for label, name in (("Top-k", "top_k"), ("Seed of the conversation", "seed")):
        number = getattr(settings(desk, label, 50.0).params, name)
        assert (number, type(number)) == (50, int)
    assert settings(desk, "Last-k window", 0.0).panes[0].context.last_k is None
    assert settings(desk, "Last-k window", 4.0).panes[0].context.last_k == 4
