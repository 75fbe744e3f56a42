"""The scenario picker and the profile it fills."""

from esc_demo.prompts.scenarios import load_scenarios
from esc_demo.ui.controls import PROFILE_FIELDS
from tests.ui.desk import NOBODY, REQUEST

FIRST, SECOND = list(load_scenarios().values())[:2]


def profile_of(desk, frame):
    return tuple(frame[desk.view.controls.profile[name]] for name in PROFILE_FIELDS)


def filled(scenario):
    return tuple(getattr(scenario.profile, name) for name in PROFILE_FIELDS)


def test_a_scenario_fills_the_profile_and_names_who_talks(desk):
    frame = desk.actions.person.pick(REQUEST, FIRST.id, "")
    assert profile_of(desk, frame) == filled(FIRST)
    assert frame[desk.view.message]["value"] == FIRST.opening
    assert frame[desk.view.talking]["visible"]
    assert f"Talking as {FIRST.profile.name}" in frame[desk.view.talking_as]


def test_no_scenario_empties_the_profile(desk):
    for frame in (
        desk.actions.person.pick(REQUEST, "", FIRST.opening),
        desk.actions.person.remove(REQUEST, FIRST.opening),
    ):
        assert profile_of(desk, frame) == NOBODY
        assert frame[desk.view.message]["value"] == ""
        assert not frame[desk.view.talking]["visible"]
    assert frame[desk.view.scenario]["value"] == ""


def test_a_scenario_replaces_an_opening_but_no_draft_and_no_edit(desk):
    pick, box = desk.actions.person.pick, desk.view.message
    assert pick(REQUEST, SECOND.id, f"{FIRST.opening}\n")[box]["value"] == SECOND.opening
    assert box not in pick(REQUEST, SECOND.id, "half a draft")
    assert box not in pick(REQUEST, "", "half a draft")
    list(desk.send(FIRST.opening))
    desk.actions.edit(REQUEST, "")
    assert box not in pick(REQUEST, SECOND.id, FIRST.opening)


def test_a_profile_typed_by_hand_is_shown_too(desk):
    def said(**fields):
        values = (fields.get(name, "") for name in PROFILE_FIELDS)
        return desk.actions.person.name(*values)[desk.view.talking_as]

    assert "Talking as &lt;Zoe&gt;" in said(name=" <Zoe> ", age="30")
    assert "profile" in said(age="30")
    assert said(age="  ") == ""


def test_clear_forgets_who_talked_and_undo_remembers(desk):
    list(desk.send("hello"))
    scenario = desk.view.scenario
    frame = desk.actions.clear(REQUEST, "", FIRST.id, *filled(FIRST))
    assert profile_of(desk, frame) == NOBODY
    assert frame[scenario]["value"] == ""
    assert not frame[desk.view.talking]["visible"]
    frame = desk.actions.undo_clear(REQUEST)
    assert profile_of(desk, frame) == filled(FIRST)
    assert frame[scenario]["value"] == FIRST.id
    assert frame[desk.view.talking]["visible"]
