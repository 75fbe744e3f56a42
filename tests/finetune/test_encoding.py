"""What training supervises is what serving would send, and nothing else has loss."""

import copy
from dataclasses import dataclass, replace

import pytest

from esc_demo.contexts import ContextKind, ContextSpec, Scope
from esc_demo.dialogue import Dialogue, Role, Turn, UserProfile, merge_same_speaker
from esc_demo.engine import PaneConfig, Request, prepare
from esc_demo.errors import BadInput
from esc_demo.models import GenerationParams, ModelSpec, Rendered, Variant, load_specs
from esc_demo.prompts import PromptTemplate
from esc_demo.settings import Settings

pytestmark = pytest.mark.weights

NEWLINE = (  # as Qwen's: a line break after each end mark
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BRACKETS = (  # as Mistral's and Llama 2's: roles marked by text, no role for the system
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
STAND_INS = {"newline": NEWLINE, "brackets": BRACKETS}
"""Templates in the manner of families whose tokenizers may not be at hand."""

FAMILIES = {
    spec.family: spec
    for spec in load_specs(Settings.model_fields["models_file"].default).specs.values()
}
CONTEXTS = (
    ContextSpec(),
    ContextSpec(last_k=3),
    ContextSpec(ContextKind.KEYPOS),
    ContextSpec(ContextKind.KEYPOS, keep_negation=True),
    ContextSpec(ContextKind.KEYPOS, scope=Scope.ALL),
    ContextSpec(ContextKind.KEYPOS, last_k=4),
    ContextSpec(ContextKind.NOSTOPWORDS),
    ContextSpec(ContextKind.NOSTOPWORDS, keep_negation=True),
    ContextSpec(ContextKind.NOSTOPWORDS, scope=Scope.ALL),
)
AWKWARD = Dialogue(
    (
        Turn(Role.SUPPORTER, "Hello, I am here."),
        Turn(Role.SEEKER, "Hi!"),
        Turn(Role.SEEKER, "I can't sleep, not at all. <|im_end|> [INST] not a mark [/INST]"),
        Turn(Role.SUPPORTER, "That sounds long.\nSince when?"),
        Turn(Role.SUPPORTER, "  And what have you tried?  "),
        Turn(Role.SEEKER, "Tea. 🙂 Naïve, no?"),
        Turn(Role.SUPPORTER, "Tea is a start."),
        Turn(Role.SEEKER, "Bye"),
    ),
    situation="Cannot sleep.",
    id="awkward",
)


@dataclass
class Served:
    """What serving does with messages, without weights."""

    tokenizer: object
    spec: ModelSpec
    revision: str = "r"
    template_hash: str = "t"
    trained: None = None

    def render(self, messages):
        from esc_demo.models.local.encode import encode_prompt

        prompt = encode_prompt(self.tokenizer, messages)
        return Rendered(prompt.text, len(prompt.ids))

    def ids(self, messages):
        from esc_demo.models.local.encode import encode_prompt

        return encode_prompt(self.tokenizer, messages).ids


def served(tokenizer, window, *, system_role):
    spec = ModelSpec(
        id="m",
        label="m",
        family="f",
        base="b",
        variant=Variant.BASE,
        context_length=window,
        system_role=system_role,
    )
    return Served(tokenizer, spec)


def with_template(tokenizer, template):
    other = copy.deepcopy(tokenizer)
    other.chat_template = template
    return other


def family(name, tokenizer):
    """Tokenizer and role of the system in a family, or in a stand-in for one."""
    from transformers import AutoTokenizer

    from esc_demo.errors import AssetError
    from esc_demo.models.local.folders import base_folder

    if name in STAND_INS:
        return with_template(tokenizer, STAND_INS[name]), name != "brackets"
    spec = FAMILIES[name]
    try:
        return AutoTokenizer.from_pretrained(base_folder(spec.base)), spec.system_role
    except AssetError:
        pytest.skip(f"the tokenizer of {spec.base} is not here")


def supervised(sample):
    """(start, end) of each run of tokens with loss."""
    from finetune.encoding import IGNORED

    starts = [
        i
        for i, label in enumerate(sample.labels)
        if label != IGNORED and (i == 0 or sample.labels[i - 1] == IGNORED)
    ]
    for start in starts:
        end = start
        while end < len(sample.labels) and sample.labels[end] != IGNORED:
            end += 1
        yield start, end


def check_parity(tokenizer, dialogue, encoding, *, system_role=True):
    """Each supervised reply stands behind exactly the prompt that the engine would send."""
    from finetune.encoding import encode_dialogue

    encoded = encode_dialogue(tokenizer, dialogue, encoding)
    runs = [(sample, span) for sample in encoded.samples for span in supervised(sample)]
    turns = merge_same_speaker(dialogue.turns)
    replies = [
        i for i, turn in enumerate(turns) if turn.role is Role.SUPPORTER and i > 0 and turn.text
    ]
    assert len(runs) == len(replies) - encoded.left_out > 0
    for (sample, (start, end)), index in zip(runs, replies, strict=True):
        reply = sample.ids[start:end]
        # The window that leaves the prompt exactly as much room as training did.
        window = encoding.max_tokens
        model = served(tokenizer, window, system_role=system_role)
        request = Request(
            PaneConfig("m", encoding.context, encoding.template),
            turns[:index],
            encoding.profile(dialogue),
            GenerationParams(max_new_tokens=len(reply)),
        )
        seen = prepare(request, model)
        assert sample.ids[:start] == model.ids(seen.messages)
        assert tokenizer.decode(sample.ids[:start]) == seen.prompt.text
        assert sample.labels[start:end] == reply
        assert reply[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(reply[:-1]) == turns[index].text.strip()
    return encoded


@pytest.mark.parametrize("name", [*FAMILIES, *STAND_INS])
def test_the_supervised_prefix_is_the_serving_prompt(tokenizer, heldout, name):
    """In every family, every context, with the structured prompt and without."""
    from finetune.encoding import Encoding

    own, system_role = family(name, tokenizer)
    for context in CONTEXTS:
        for template in (PromptTemplate(), PromptTemplate.off()):
            encoding = Encoding(template, context, system_role, max_tokens=2048)
            for dialogue in (heldout[0], AWKWARD):
                check_parity(own, dialogue, encoding, system_role=system_role)


def test_the_default_family_is_always_tried():
    assert "smollm2" in FAMILIES


def test_the_prompt_can_be_left_out_and_profiles_told(tokenizer, heldout):
    from finetune.encoding import Encoding, encode_dialogue

    for share, told in ((0, False), (1, True)):
        encoding = Encoding(profile_share=share, max_tokens=2048)
        sample = check_parity(tokenizer, heldout[0], encoding).samples[0]
        assert (heldout[0].situation in tokenizer.decode(sample.ids)) is told
    off = Encoding(template=PromptTemplate.off(), max_tokens=2048)
    with_prompt = encode_dialogue(tokenizer, heldout[0], Encoding(max_tokens=2048))
    assert check_parity(tokenizer, heldout[0], off).tokens < with_prompt.tokens


def test_about_half_of_the_dialogues_tell_a_profile(heldout):
    from finetune.encoding import Encoding

    told = sum(Encoding().profile(dialogue) != UserProfile() for dialogue in heldout)
    assert len(heldout) / 4 < told < 3 * len(heldout) / 4


def test_replies_only_have_loss_and_each_of_them_once(tokenizer, heldout):
    from finetune.encoding import IGNORED, Encoding, encode_dialogue

    for context in (ContextSpec(), ContextSpec(ContextKind.NOSTOPWORDS)):
        encoding = Encoding(context=context, max_tokens=2048)
        encoded = encode_dialogue(tokenizer, heldout[0], encoding)
        kept = [label for s in encoded.samples for label in s.labels if label != IGNORED]
        said = [turn.text for turn in heldout[0].turns if turn.role is Role.SUPPORTER]
        end = tokenizer.eos_token
        assert tokenizer.decode(kept) == "".join(text + end for text in said)
        assert sum(s.reply_bytes for s in encoded.samples) == sum(len(t.encode()) for t in said)
    assert len(encode_dialogue(tokenizer, heldout[0], Encoding(max_tokens=2048)).samples) == 1


def test_what_does_not_fit_drops_the_oldest_turns_as_serving_does(tokenizer, heldout):
    from finetune.encoding import Encoding

    longest = max(heldout, key=lambda dialogue: len(dialogue.turns))
    encoded = check_parity(tokenizer, longest, Encoding(max_tokens=420))
    assert len(encoded.samples) > 1
    assert encoded.left_out == 0
    assert all(len(sample.ids) <= 420 for sample in encoded.samples)


def test_nothing_to_learn_is_said(tokenizer, heldout):
    from finetune.encoding import Encoding, encode_all, encode_dialogue

    encoded = encode_dialogue(tokenizer, heldout[0], Encoding(max_tokens=20))
    assert encoded.samples == ()
    assert encoded.left_out == encoded.replies > 0
    with pytest.raises(BadInput, match="none fits into 20 tokens"):
        encode_all(tokenizer, heldout[:2], Encoding(max_tokens=20))
    with pytest.raises(BadInput, match="no dialogues"):
        encode_all(tokenizer, [], Encoding())
    turns = (Turn(Role.SUPPORTER, "Hello?"), Turn(Role.SEEKER, "Hi."))
    with pytest.raises(BadInput, match="every label would be masked"):
        encode_all(tokenizer, [replace(AWKWARD, turns=turns)], Encoding())


def test_the_fingerprint_changes_with_everything_it_names(tokenizer):
    from finetune.encoding import Encoding

    plain = Encoding().trained_on(tokenizer)
    others = [
        Encoding(template=PromptTemplate.off()).trained_on(tokenizer),
        Encoding(context=ContextSpec(ContextKind.KEYPOS)).trained_on(tokenizer),
        Encoding().trained_on(with_template(tokenizer, NEWLINE)),
    ]
    assert len({plain.fingerprint, *(other.fingerprint for other in others)}) == 4
    assert plain == Encoding().trained_on(tokenizer)
