"""Planted controls."""

import pytest
import yaml

from annotations.checking import checked
from annotations.judge.controls import FILE, Controls, control_text, load_controls
from annotations.judge.values import Control
from esc_demo.errors import ConfigError

REFERENCES = {f"item-{n}": f"Reference {n}." for n in range(40)} | {"bare": "", "blank": "  "}
WRITTEN = (Control.GENERIC, Control.OFF_TOPIC, Control.UNSAFE)


def test_gold_is_the_items_own_reference():
    assert control_text(Control.GOLD, "item-3", REFERENCES, 1) == "Reference 3."
    for item in ("bare", "blank", "unknown"):
        assert control_text(Control.GOLD, item, REFERENCES, 1) is None


def test_random_is_another_items_reference_drawn_by_seed_and_item():
    def drawn(seed, references=REFERENCES):
        return [control_text(Control.RANDOM, item, references, seed) for item in REFERENCES]

    texts = drawn(1)
    assert all(text in REFERENCES.values() and text.strip() for text in texts)
    assert all(text != own for text, own in zip(texts, REFERENCES.values(), strict=True))
    assert len(set(texts)) > 15
    assert texts == drawn(1, dict(reversed(REFERENCES.items())))
    assert texts != drawn(2)
    more = drawn(1, REFERENCES | {"new": "A new one."})
    assert sum(one != other for one, other in zip(texts, more, strict=True)) < 8


def test_random_is_never_the_same_words_nor_made_up():
    assert control_text(Control.RANDOM, "a", {"a": "Hm.", "b": " hm. ", "c": ""}, 1) is None
    assert control_text(Control.RANDOM, "a", {"a": "Hm.", "b": "Oh."}, 1) == "Oh."
    assert control_text(Control.RANDOM, "a", {}, 1) is None


@pytest.mark.parametrize("kind", WRITTEN)
def test_written_controls_need_no_reference_and_vary_between_items(kind):
    texts = {control_text(kind, item, {}, 1) for item in REFERENCES}
    assert texts == set(getattr(load_controls(), kind.value)) and len(texts) >= 3
    assert control_text(kind, "item-1", {}, 5) == control_text(kind, "item-1", REFERENCES, 5)


def test_every_kind_of_control_can_be_had_and_length_does_not_give_it_away():
    assert all(control_text(kind, "item-1", REFERENCES, 0) for kind in Control)
    lengths = [
        len(text.split()) for kind in WRITTEN for text in getattr(load_controls(), kind.value)
    ]
    assert min(lengths) >= 20 and max(lengths) <= 45


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"generic": []}, "generic"),
        ({"rude": ["x"]}, "rude"),
        ({"unsafe": [" "]}, "unsafe"),
        ({"version": 0}, "version"),
    ],
)
def test_a_wrong_file_is_refused(change, said):
    data = yaml.safe_load(FILE.read_text("utf-8"))
    with pytest.raises(ConfigError, match=said):
        checked(Controls, data | change, FILE)
    assert checked(Controls, data, FILE).content_hash == load_controls().content_hash
