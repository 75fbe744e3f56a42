"""Items to reply to, and the four trivial repliers."""

import pytest

from esc_demo.dialogue import Dialogue, Role, Turn
from esc_demo.errors import BadInput
from finetune.metrics.baselines import BASELINES, CONSTANT, Baseline
from finetune.metrics.items import reply_items
from finetune.metrics.pairs import make_pairs
from finetune.metrics.profiles import ProfileName
from finetune.metrics.scores import score


def dialogue(name, *said):
    """`("u: hi", "s: hello")` as a dialogue."""
    roles = {"u": Role.SEEKER, "s": Role.SUPPORTER}
    turns = [Turn(roles[text[0]], text[3:]) for text in said]
    return Dialogue(tuple(turns), id=name)


TRAIN = (
    dialogue("t1", "u: my cat died", "s: A cat is family.", "u: yes", "s: Tell me about her."),
    dialogue("t2", "u: my boss shouts at work", "s: What does the boss shout?"),
)
TEST = (
    dialogue("x", "s: Hello!", "u: the boss at my work", "u: is cruel", "s: Oh.", "s: How so?"),
    dialogue("y", "u: i miss my cat", "s: Of course."),
)


def test_items_of_the_merged_protocol():
    first, second = reply_items(TEST)
    assert (first.dialogue, first.index, first.turns) == ("x", 2, 3)
    assert first.reference == "Oh.\nHow so?"
    assert first.last_seeker_turn == "the boss at my work\nis cruel"
    assert first.history[0].text == "Hello!"
    assert second.reference == "Of course."


def test_items_without_merging_and_without_text():
    found = reply_items(TEST, merged=False)
    assert [item.reference for item in found] == ["Oh.", "How so?", "Of course."]
    assert found[1].history[-1].text == "Oh."
    assert (
        reply_items([dialogue("z", "u: hi", "s: ", "s: Hello!")])[0].reference.strip() == "Hello!"
    )
    assert reply_items([dialogue("z", "u: hi", "s: ")]) == ()


def test_what_the_baselines_say():
    said = {name: reply(TRAIN, TEST, seed=1) for name, reply in BASELINES.items()}
    assert said[Baseline.CONSTANT] == [CONSTANT] * 2
    assert said[Baseline.RETRIEVAL] == ["What does the boss shout?", "A cat is family."]
    assert said[Baseline.COPY] == ["the boss at my work\nis cruel", "i miss my cat"]
    replies = {item.reference for item in reply_items(TRAIN)}
    assert set(said[Baseline.RANDOM]) <= replies
    drawn = {tuple(BASELINES[Baseline.RANDOM](TRAIN, TEST, seed=seed)) for seed in range(20)}
    assert len(drawn) > 1
    assert said[Baseline.RANDOM] == BASELINES[Baseline.RANDOM](TRAIN, TEST, seed=1)


@pytest.mark.parametrize("name", [Baseline.RANDOM, Baseline.RETRIEVAL])
def test_nothing_to_take_from(name):
    with pytest.raises(BadInput, match="training part"):
        BASELINES[name]([dialogue("t", "u: hi")], TEST)


def test_baselines_on_esconv(esconv, bare):
    """One sentence for everybody reaches what a trained BlenderBot was published with."""
    from finetune.data import split_esconv

    parts = split_esconv(esconv)
    items = reply_items(parts.test)
    assert len(items) == 2295
    references = [item.reference for item in items]
    ids = [item.dialogue for item in items]
    values = {}
    for name, reply in BASELINES.items():
        pairs = make_pairs(reply(parts.train, parts.test, seed=0), references, ids)
        values[name] = score(pairs, ProfileName.ESCONV, resources=bare, workers=1).values
    assert values[Baseline.CONSTANT]["ROUGE-L"] == pytest.approx(15.5, abs=1.5)
    assert values[Baseline.CONSTANT]["BLEU-2"] == pytest.approx(6.0, abs=1.5)
    for name in (Baseline.RANDOM, Baseline.RETRIEVAL, Baseline.COPY):
        assert 5 < values[name]["ROUGE-L"] < values[Baseline.CONSTANT]["ROUGE-L"]
    assert values[Baseline.CONSTANT]["Distinct-2"] < 0.1 < values[Baseline.RANDOM]["Distinct-2"]
