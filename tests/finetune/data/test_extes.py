"""ExTES, with every irregularity of the released file."""

import pytest

from esc_demo.dialogue import Role
from esc_demo.errors import BadInput
from finetune.data import DataFormat, load
from finetune.data.labels import extes_scenes, extes_strategies


def user(text):
    return {"User": text}


def ai(text, strategy="Clarification", key="AI Strategy"):
    return {key: strategy, "AI": text}


def item(*content, scene="Academic Stress", description="An exam is near."):
    entries = list(content) or [user("a"), ai("b")]
    return {"scene": scene, "description": description, "content": entries}


def test_the_schema(write):
    data = load(write([item(), item()], "ExTES.json"))
    first = data.dialogues[0]
    assert data.format is DataFormat.EXTES
    assert [dialogue.id for dialogue in data.dialogues] == ["extes-00000", "extes-00001"]
    assert (first.scene, first.situation) == ("Academic Stress", "An exam is near.")
    assert first.profile.situation == "An exam is near."


def test_parts_in_files_of_their_own_have_ids_of_their_own(write):
    assert load(write([item()], "train.json")).dialogues[0].id == "extes-train-00000"


def test_the_label_file_has_36_scenes_and_16_strategies():
    assert len(set(extes_scenes().names)) == 36
    assert len(set(extes_strategies().names)) == 16
    assert set(extes_scenes().aliases.values()) <= set(extes_scenes().names)


def test_every_spelling_of_the_strategy_key_is_read(write):
    keys = ("AI Strategy", "AI strategy", "strategy")
    content = [user("a"), *(ai("b", "Offer Hope", key) for key in keys), {"AI": "z"}]
    data = load(write([item(*content)]))
    assert [t.strategy for t in data.dialogues[0].turns[1:]] == ["Offer Hope"] * 3 + [None]
    assert not data.problems


def test_an_empty_strategy_is_none(write):
    data = load(write([item(user("a"), ai("b", ""))]))
    assert data.dialogues[0].turns[1].strategy is None
    assert [problem.fixed for problem in data.problems] == [True]


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("avoid judgment & criticism", "Avoid Judgment And Criticism"),
        ("Promote self-care practices", "Promote Self-Care Practices"),
        (["Offer Hope"], "Offer Hope"),
    ],
)
def test_variants_of_a_strategy_are_canonical(write, raw, read):
    data = load(write([item(user("a"), ai("b", raw))]))
    assert data.dialogues[0].turns[1].strategy == read
    assert all(problem.fixed for problem in data.problems)


@pytest.mark.parametrize(("raw", "read"), [("Hugging", "Hugging"), (7, None)])
def test_other_strategies_are_reported_not_refused(write, raw, read):
    data = load(write([item(user("a"), ai("b", raw))]))
    assert data.dialogues[0].turns[1].strategy == read
    assert [(p.where, p.fixed) for p in data.problems] == [("dialogue 0, utterance 1", False)]


@pytest.mark.parametrize("key", ["Response", "AI", "response", "text", "content"])
def test_an_ai_that_is_an_object_gives_its_text_and_strategy(write, key):
    wrapped = {"AI": {key: "b", "AI Strategy": "Offer Hope"}}
    data = load(write([item(user("a"), wrapped)]))
    turn = data.dialogues[0].turns[1]
    assert (turn.role, turn.text, turn.strategy) == (Role.SUPPORTER, "b", "Offer Hope")
    assert [problem.fixed for problem in data.problems] == [True]


def test_any_order_of_speakers_is_kept(write):
    content = (ai("a"), user("b"), user("c"), ai("d"), ai("e"), user("f"))
    turns = load(write([item(*content)])).dialogues[0].turns
    assert "".join(turn.role[1] for turn in turns) == "ueeuue"  # sUpporter, sEeker
    assert "".join(turn.text for turn in turns) == "abcdef"


@pytest.mark.parametrize(
    ("raw", "scene"),
    [
        ("Financial Worries and UncertAInty", "Financial Worries and Uncertainty"),
        ("chronic illness or pAIn management ", "Chronic Illness or Pain Management"),
        ("Work related Stress & Burnout", "Work-related Stress and Burnout"),
        ("Aging and Retirement", "Ageing and Retirement"),
        ("PTSD", "Post-Traumatic Stress Disorder (PTSD)"),
    ],
)
def test_damaged_scenes_are_put_right_and_reported(write, raw, scene):
    data = load(write([item(scene=raw)]))
    assert data.dialogues[0].scene == scene
    assert [problem.fixed for problem in data.problems] == [True]


def test_every_scene_survives_the_damage(write):
    names = extes_scenes().names
    data = load(write([item(scene=name.replace("ai", "AI").upper()) for name in names]))
    assert tuple(dialogue.scene for dialogue in data.dialogues) == names


def test_an_unknown_scene_is_kept_and_reported_with_the_nearest(write):
    data = load(write([item(scene="Academic Stresses"), item(scene="Chess", description="x")]))
    assert [dialogue.scene for dialogue in data.dialogues] == ["Academic Stresses", "Chess"]
    assert "'Academic Stress'" in data.problems[0].what
    assert "nearest" not in data.problems[1].what


def test_damaged_words_of_an_utterance_are_reported_and_left(write):
    data = load(write([item(user("It hurts agAIn."), ai("AI and AIs say: AI."))]))
    assert data.dialogues[0].turns[0].text == "It hurts agAIn."
    assert [(p.where, p.fixed) for p in data.problems] == [("dialogue 0, utterance 0", False)]


def test_repeated_seeker_turns_are_reported_and_left(write):
    data = load(write([item(user("I am sad."), ai("b"), user("i am  sad."), ai("b"))]))
    assert len(data.dialogues[0].turns) == 4
    assert [p.where for p in data.problems] == ["dialogue 0, utterance 2"]
    assert "repeats" in data.problems[0].what


def test_whole_copies_are_reported(write):
    data = load(write([item(), item(user("x"), ai("y")), item(scene="Career Transitions")]))
    assert [p.where for p in data.problems] == ["extes-x-00002 (as extes-x-00000)"]


def test_keys_that_are_not_read_are_reported(write):
    data = load(write([item(user("a") | {"mood": "low"}, ai("b")) | {"source": "x"}]))
    assert sorted(problem.what for problem in data.problems) == [
        "unknown key 'mood', not read",
        "unknown key 'source', not read",
    ]


def test_missing_scene_and_description_are_reported(write):
    data = load(write([{"content": [user("a"), ai("b")]}]))
    assert [problem.what for problem in data.problems] == ["no 'scene'", "no 'description'"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([user("hi"), ai("")], "dialogue 1, utterance 1: expected a non-empty text"),
        ([user(None), ai("a")], "dialogue 1, utterance 0: .* found nothing"),
        ([user("hi"), ai({"reply": "x"})], "utterance 1: expected one text under .*'reply'"),
        ([user("hi"), ai({"text": "x", "AI": "y"})], "utterance 1: expected one text"),
        ([{"User": "hi", "AI": "both"}], "utterance 0: expected 'User' or 'AI'"),
        ([{"Human": "hi"}], "utterance 0: expected 'User' or 'AI', found .*'Human'"),
        (["hi"], "utterance 0: expected 'User' or 'AI', found the text 'hi'"),
        ([user("hi")], "dialogue 1: no supporter turn"),
        ([], "dialogue 1: the dialogue is empty"),
        ("hi", "dialogue 1: expected an array under 'content', found the text 'hi'"),
    ],
)
def test_a_wrong_dialogue_is_refused_with_its_place(write, content, said):
    with pytest.raises(BadInput, match=rf"x\.json, .*{said}"):
        load(write([item(), {"scene": "s", "description": "d", "content": content}]))
