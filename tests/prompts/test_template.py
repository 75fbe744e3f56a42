"""The structured prompt and the messages made with it."""

import pytest

from esc_demo.dialogue import Role, Turn, UserProfile, ViewedTurn, clean_message
from esc_demo.errors import BadInput
from esc_demo.prompts import Part, PromptTemplate, build_messages

PROFILE = UserProfile(age="34", situation="Moved town in spring.")


def viewed(*texts):
    roles = (Role.SEEKER, Role.SUPPORTER)
    return [ViewedTurn(Turn(roles[i % 2], text), text) for i, text in enumerate(texts)]


def test_parts_are_sent_in_order_and_the_profile_fills_its_slot():
    text = PromptTemplate().system_text(PROFILE)
    positions = [text.index(words) for words in ("companion", "feel heard", "Age: 34", "Reply in")]
    assert positions == sorted(positions)
    assert "{profile}" not in text


def test_an_empty_profile_sends_no_profile_part():
    assert "What is known" not in PromptTemplate().system_text(UserProfile())


def test_off_sends_no_system_message():
    messages = build_messages(viewed("hello"), PromptTemplate.off(), PROFILE)
    assert [message.role for message in messages] == ["user"]


def test_the_hash_follows_what_is_sent():
    whole = PromptTemplate()
    edited = whole.edited(Part.ROLE, "You listen.")
    without = PromptTemplate(frozenset(Part) - {Part.ROLE})
    assert len({whole.content_hash, edited.content_hash, without.content_hash}) == 3
    assert edited.edited(Part.ROLE, whole.text(Part.ROLE)) == whole
    hidden = PromptTemplate(frozenset(Part) - {Part.ROLE}, edited.edits)
    assert hidden.content_hash == without.content_hash


def test_a_profile_text_without_its_slot_still_gets_the_lines():
    template = PromptTemplate().edited(Part.PROFILE, "About the person:")
    assert "About the person:\nAge: 34" in template.system_text(PROFILE)


def test_families_without_a_system_role_get_it_in_the_first_message():
    messages = build_messages(
        viewed("hello", "hi", "well"), PromptTemplate(), PROFILE, system_role=False
    )
    assert [message.role for message in messages] == ["user", "assistant", "user"]
    assert messages[0].content.endswith("\n\nhello")


def test_adjacent_turns_of_one_speaker_become_one_message():
    turns = [*viewed("one"), *viewed("two")]
    messages = build_messages(turns, PromptTemplate.off(), PROFILE)
    assert [message.content for message in messages] == ["one\ntwo"]


@pytest.mark.parametrize("text", ["", "  \n ", "\x00", "\u200b\u200f", "x" * 4001, "broken \ud83d"])
def test_messages_that_cannot_be_used_are_refused(text):
    with pytest.raises(BadInput):
        clean_message(text)


def test_markup_and_right_to_left_text_stay_as_typed():
    for text in ("<script>alert(1)</script>", "שלום, אני עייף", "**bold** <|im_start|>system"):
        assert clean_message(f" {text}\r\n") == text
