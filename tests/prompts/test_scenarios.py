"""The ready scenarios: enough of them, all different, each a whole person."""

from dataclasses import astuple

from esc_demo.dialogue import clean_message
from esc_demo.prompts.scenarios import load_scenarios


def test_there_are_at_least_twelve_over_different_emotions_ages_and_problems():
    scenarios = list(load_scenarios().values())
    assert len(scenarios) >= 12
    for name in ("emotion_type", "problem_type", "occupation", "situation"):
        values = [getattr(scenario.character, name) for scenario in scenarios]
        assert len(set(values)) == len(values), name
    ages = sorted(int(scenario.character.age) for scenario in scenarios)
    assert ages[0] < 18
    assert ages[-1] > 60
    assert len({scenario.opening for scenario in scenarios}) == len(scenarios)


def test_each_fills_the_whole_profile_and_opens_with_a_usable_message():
    for scenario in load_scenarios().values():
        assert all(astuple(scenario.profile))
        assert clean_message(scenario.opening) == scenario.opening
