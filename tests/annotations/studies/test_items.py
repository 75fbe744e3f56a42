"""Items from a file and from generated replies, and replies made alike."""

import json

import pytest

from annotations.studies import items_from_runs, items_text, read_items
from annotations.studies.normalise import give_aways, normalised, to_sentence_end
from annotations.studies.values import FlagKind
from esc_demo.dialogue import Role, Turn, UserProfile
from esc_demo.errors import BadInput, ConfigError

GOOD = {
    "id": "one",
    "history": [{"role": "seeker", "text": "Hi"}],
    "replies": {"a": "Hello.\u2028There."},
}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (GOOD | {"replys": {}}, "line 2, replys: Extra inputs"),
        (GOOD | {"id": "two", "history": []}, "line 2, history: "),
        (
            GOOD | {"id": "two", "history": [{"role": "supporter", "text": "Hi"}]},
            "line 2, history: must end with the seeker",
        ),
        (
            GOOD | {"id": "two", "history": [{"role": "user", "text": "Hi"}]},
            "line 2, history.1.role: ",
        ),
        (GOOD, "line 2, id: 'one' is the id of line 1 too"),
    ],
)
def test_a_wrong_line_is_named(written, line, words):
    path = written.jsonl("items.jsonl", [GOOD, line])
    with pytest.raises(BadInput) as error:
        read_items(path)
    assert str(error.value).startswith(f"{path}, ")
    assert words in str(error.value)


def test_items_survive_writing_and_reading(tmp_path, written):
    more = GOOD | {"id": "two", "stratum": "s", "reference": "What happened?", "crisis": True}
    less = GOOD | {"id": "three", "crisis": False}
    items = read_items(written.jsonl("a.jsonl", [GOOD, more, less]))
    (tmp_path / "b.jsonl").write_text(items_text(items), "utf-8")
    assert read_items(tmp_path / "b.jsonl") == items
    assert items[0].history[0].role is Role.SEEKER
    assert [item.reference for item in items] == ["", "What happened?", ""]
    assert [item.crisis for item in items] == [None, True, False]


def test_items_are_taken_from_runs_evenly_and_with_the_conversation(written):
    runs = {arm: written.run(arm, reference="Go on.") for arm in ("base", "lora")}
    items = items_from_runs(runs, per_dialogue=2, label="scene")
    assert {item.reference for item in items} == {"Go on."}
    assert [item.id for item in items] == [
        f"talk-{talk}.{item}" for talk in range(3) for item in (1, 3)
    ]
    assert items[0].replies == {"base": "base answers 0.1.", "lora": "lora answers 0.1."}
    assert [turn.text for turn in items[0].history] == ["Message 0.1"]
    assert items[0].stratum == "Scene 0"
    assert items[0].source["lora"] == "hash-lora lora.jsonl"
    assert len(items_from_runs(runs, limit=2)) == 2


def test_the_conversation_comes_from_the_raw_run_only(written):
    seen = [{"role": "user", "content": "Message"}]
    runs = {"base": written.run("base", context="keypos", messages=seen), "raw": written.run("raw")}
    assert items_from_runs(runs)[0].history[-1].text == "Message 0.2"
    with pytest.raises(BadInput, match="None of the runs is in the Raw context"):
        items_from_runs({"base": runs["base"]})


def test_a_reply_that_ran_out_of_tokens_ends_with_its_last_whole_sentence(written):
    run = written.run("base", finish="length", hypothesis="That is hard. What would you li")
    assert items_from_runs({"base": run})[0].replies["base"] == "That is hard."


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"mode": "auto"}, "was generated with --mode auto"),
        ({"data": "e"}, "from different dialogues"),
        ({"replies": 3}, "answer different messages"),
        ({"status": "failed", "error": "timeout"}, r"line 2: this reply failed \(timeout\)"),
        ({"messages": [{"role": "user", "content": "Other"}]}, "is not that of the other runs"),
        ({"dropped_turns": 1}, None),
    ],
)
def test_runs_that_do_not_belong_together(written, other, words):
    runs = {"base": written.run("base"), "lora": written.run("lora", **other)}
    if words is None:  # the other run still tells the whole conversation
        assert len(items_from_runs(runs)) == 3
        return
    with pytest.raises(BadInput, match=words):
        items_from_runs(runs)


def test_an_arm_that_does_not_describe_its_run_is_refused(written, new_study):
    runs = {
        "base": written.run("base"),
        "lora": written.run("lora", context="keypos", prompt=False),
    }
    arms = [{"id": arm, "model": f"model-{arm}-x"} for arm in runs]
    values = {"items": {"runs": {arm: str(path) for arm, path in runs.items()}}}
    values |= {"session": {"items": 3}, "arms": arms}
    with pytest.raises(ConfigError) as error:
        new_study(**values)
    assert f'lora does not describe its run {runs["lora"]}: context is "raw", but' in str(
        error.value
    )
    assert "prompt is true, but false in the run" in str(error.value)
    arms[1] |= {"context": "keypos", "prompt": False}
    assert len(new_study(**values).items) == 3


def test_an_unfinished_or_damaged_run_is_refused(written):
    path = written.run("base")
    whole = path.read_text("utf-8")
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]), "utf-8")
    with pytest.raises(BadInput, match=r"unfinished: 11 of 12"):
        items_from_runs({"base": path})
    path.write_text(whole + "{", "utf-8")
    with pytest.raises(BadInput, match="line 14 is damaged"):
        items_from_runs({"base": path})
    path.write_text(json.dumps({"kind": "other"}), "utf-8")
    with pytest.raises(BadInput, match="does not begin with the header"):
        items_from_runs({"base": path})


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("I hear you.<|im_end|>\n<|im_start|>user\nThanks", "I hear you."),
        ("<|im_start|>assistant\nassistant: I hear you.", "I hear you."),
        ("I hear you.\nUser: thanks\nAssistant: fine", "I hear you."),
        ("[Reflection of feelings] That hurts.", "That hurts."),
        ("  That \t hurts.\n\n\n\nReally.</s>", "That hurts.\n\nReally."),
        ("**Assistant:** That hurts.", "That hurts."),
    ],
)
def test_what_a_chat_format_left_behind_is_taken_off(raw, clean):
    text, done = normalised(raw, 200)
    assert text == clean
    assert FlagKind.STRIPPED in done


def test_wording_stays_as_it_was():
    text = "Model railways? My friend the assistant says: try it. <3 \U0001f642"
    assert normalised(text, 200) == (text, ())


def test_every_reply_is_cut_to_one_length():
    long = "One sentence here. " * 40
    text, done = normalised(long, 100)
    assert len(text) <= 100
    assert text.endswith("here.")
    assert FlagKind.CUT in done
    words, done = normalised("word " * 100, 100)
    assert len(words) <= 100
    assert words.endswith("word\u2026")
    assert FlagKind.CUT in done
    assert to_sentence_end("Yes. " + "a" * 50) == "Yes. " + "a" * 50


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("I am ChatGPT.", [FlagKind.NAMES_MODEL]),
        ("I was made by my-model-7.", [FlagKind.NAMES_MODEL]),
        ("As an AI, I have no feelings.", [FlagKind.SAYS_MACHINE]),
        ("I\u2019m just a computer program.", [FlagKind.SAYS_MACHINE]),
        ("", [FlagKind.EMPTY]),
        ("Your base is full of llamas and machines.", []),
    ],
)
def test_give_aways_are_flagged(text, kinds):
    assert [flag.kind for flag in give_aways("i", "a", text, ("my-model-7",))] == kinds


def test_run_files_are_still_written_with_what_is_read_here(written):
    from finetune.generate.items import ItemKey, ReplyItem
    from finetune.generate.run import Reply
    from finetune.generate.store import KIND, Status

    item = ReplyItem(ItemKey("d", 0), 1, (Turn(Role.SEEKER, "Hi"),), "", None, "", UserProfile())
    record = Reply(item, 0, Status.FAILED).record()
    header, ours = map(json.loads, written.run("base").read_text("utf-8").splitlines()[:2])
    assert ours.keys() <= record.keys()
    assert (header["kind"], record["status"]) == (KIND, "failed")
