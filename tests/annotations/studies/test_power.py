"""Sample size by simulation: it finds what is there, and nothing where nothing is."""

import pytest

from annotations.studies.power import Assumptions, enough, power, wilson
from esc_demo.errors import BadInput

ITEMS = [
    {
        "id": f"item-{number}",
        "history": [{"role": "seeker", "text": "A long day."}],
        "replies": {arm: f"{arm} {number}." for arm in ("base", "lora", "full")},
    }
    for number in range(16)
]
SCORES = {"dimensions": ["overall"], "preference": False}
PLAN = {"primary": {"outcome": "overall", "arms": ["base", "lora"]}, "participants": 20}


@pytest.fixture
def pairs(new_study):
    return new_study(ITEMS, session={"items": 12})


@pytest.fixture
def single(new_study):
    return new_study(ITEMS, mode="single", scales=SCORES, plan=PLAN, session={"items": 12})


def test_more_people_and_larger_effects_have_more_power(pairs):
    small, large = power(pairs, effect=0.15, participants=[8, 60], simulations=300)
    assert small.power + 0.3 < large.power
    assert small.low < small.power < small.high
    assert (small.comparisons, large.comparisons) == (32, 240)
    assert large.raters_per_item == 15  # 60 people x 12 items / 48 tasks
    (weak,) = power(pairs, effect=0.05, participants=[60], simulations=300)
    assert weak.power + 0.3 < large.power


@pytest.mark.parametrize("study", ["pairs", "single"])
def test_without_an_effect_hardly_anything_is_found(study, request):
    (row,) = power(
        request.getfixturevalue(study), effect=0.0, participants=[36], simulations=1000, seed=3
    )
    assert 0.01 < row.power < 0.08


def test_a_pair_on_one_screen_tells_more_than_replies_apart(new_study, single):
    together = new_study(ITEMS, scales=SCORES, plan=PLAN, session={"items": 12})
    (paired,) = power(together, effect=0.5, participants=[36], simulations=300)
    (apart,) = power(single, effect=0.5, participants=[36], simulations=300)
    assert paired.power > apart.power


def test_people_who_differ_more_cost_power(pairs):
    alike, unlike = (
        power(pairs, effect=0.15, participants=[30], simulations=300, assumed=assumed)[0].power
        for assumed in (Assumptions(rater_sd=0, item_sd=0), Assumptions(rater_sd=2, item_sd=2))
    )
    assert alike > unlike + 0.2


def test_the_seed_decides_and_progress_is_told(pairs):
    steps = []
    first = power(pairs, effect=0.1, participants=[10], simulations=300, step=steps.append)
    assert sum(steps) == 300
    assert power(pairs, effect=0.1, participants=[10, 20], simulations=300)[:1] == first
    assert power(pairs, effect=0.1, participants=[10], simulations=300, seed=9) != first


def test_the_smallest_number_that_stays_enough(pairs):
    rows = power(pairs, effect=0.15, participants=[4, 40, 80], simulations=300)
    assert enough(rows, 0.7) == rows[1]
    assert enough(rows, 1.01) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"effect": 0.45}, "below 0.4, half of what is not a tie"),
        ({"effect": -0.1}, "effect is -0.1"),
        ({"effect": 0.1, "simulations": 10}, "say little"),
        ({"effect": 0.1, "participants": [1]}, "at least 2"),
        ({"effect": 0.1, "assumed": Assumptions(ties=1.0)}, "share of ties is 1"),
        ({"effect": 0.1, "assumed": Assumptions(rater_sd=-1)}, "rater_sd is -1"),
    ],
)
def test_values_that_make_no_sense(pairs, wrong, words):
    with pytest.raises(BadInput, match=words):
        power(pairs, **wrong)


def test_the_interval_of_a_share():
    low, high = wilson(80, 100)
    assert (round(low, 3), round(high, 3)) == (0.711, 0.867)  # Wilson's interval, by hand
    assert wilson(0, 50)[0] == 0
