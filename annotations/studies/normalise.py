"""Replies made alike on the outside, and what still gives an arm away.

Nothing here alters the wording of what can be read beforehand: it takes off what a chat format
left behind and cuts to one length. Only the replies of live chats, which nobody can read before
they are shown, have names of models masked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from annotations.studies.parts import Arm
from annotations.studies.values import Flag, FlagKind

_END_TOKEN = re.compile(
    r"<\|(?:im_end|eot_id|eom_id|endoftext|end_of_text|end|im_start|start_header_id)\|>"
    r"|</s>|<eos>|<end_of_turn>|\[/?INST\]"
)
_OTHER_TOKEN = re.compile(
    r"<\|[\w. -]{1,40}\|>|<s>|<pad>|<bos>|<unk>|<start_of_turn>|<</?SYS>>|\[PAD\]"
)
_ROLE = (
    r"(?:assistant|supporter|user|seeker|human|system|model|bot|ai|counsell?or|therapist|client)"
)
_LEADING_ROLE = re.compile(
    rf"^(?:\s*(?:\*\*)?{_ROLE}(?:\*\*)?\s*[:\n]\s*(?:\*\*)?\s*)+", re.IGNORECASE
)
_NEXT_ROLE = re.compile(rf"\n\s*(?:\*\*)?{_ROLE}(?:\*\*)?\s*(?::|\n|$)", re.IGNORECASE)
_STRATEGY = re.compile(r"^\s*\[[A-Z][A-Za-z /&'-]{2,40}\]\s*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b\u2060\ufeff]")
_SENTENCE_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)\]*]*(?=\s|$)")
_FINISHED = re.compile(r"[.!?\u2026\u3002\uff01\uff1f:)\"'\u201d\u2019*\]\u2600-\U0001faff]$")

_MODEL_NAMES = re.compile(
    r"\b(?:open ?ai|chat ?gpt|gpt-?\d\w*|claude|anthropic|llama(?:-?\d\w*)?|mi[sx]tral|qwen\S*"
    r"|alibaba|gemini|gemma|google|deepmind|deepseek|smol ?lm\d*|hugging ?face|meta ai|copilot"
    r"|microsoft|vicuna|alpaca|falcon-?\d+\w*|grok|fine-?tuned|lora|qlora)\b",
    re.IGNORECASE,
)
_MACHINE = re.compile(
    r"\b(?:as an? (?:ai|artificial|language|large language|virtual|chat|digital)\b"
    r"|(?:i am|i'm|i\u2019m|being) (?:just |only |simply )?an? (?:ai|artificial|large language"
    r"|language model|virtual assistant|chat ?bot|bot|computer|machine|program)\b"
    r"|(?:large )?language model|my (?:training data|developers|creators|programming))",
    re.IGNORECASE,
)

_LEAST_KEPT = 0.4
"""A cut goes back to a sentence's end only while this share of the text is kept."""


def normalised(text: str, max_chars: int) -> tuple[str, tuple[FlagKind, ...]]:
    """A reply as raters see it, and what was done to it (`stripped`, `unfinished`, `cut`).

    Special tokens, a leading role label or strategy tag and everything from the next role label
    on go; white space is made even; what is longer than `max_chars` is cut, at the end of a
    sentence where one is near.
    """
    bare = _bare(text)
    done = []
    if bare != _even(text):
        done.append(FlagKind.STRIPPED)
    if bare and not _FINISHED.search(bare):
        done.append(FlagKind.UNFINISHED)
    if len(bare) > max_chars:
        done.append(FlagKind.CUT)
        bare = (
            to_sentence_end(bare[:max_chars])
            if _SENTENCE_END.search(bare[:max_chars])
            else (bare[: max_chars - 1].rsplit(None, 1)[0] + "\u2026")
        )
    return bare, tuple(done)


def to_sentence_end(text: str) -> str:
    """`text` without the sentence it breaks off in; whole if too little would be left."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    if ends and ends[-1] >= _LEAST_KEPT * len(text):
        return text[: ends[-1]]
    return text


def _bare(text: str) -> str:
    """`text` without what a chat format left in it."""
    found = _OTHER_TOKEN.sub("", text)
    # A token before the first word opens the reply; one behind it ends the reply.
    while match := _END_TOKEN.search(found):
        before = found[: match.start()]
        found = before if before.strip() else found[match.end() :]
    found = _LEADING_ROLE.sub("", found.lstrip())
    if match := _NEXT_ROLE.search(found):
        found = found[: match.start()]
    return _even(_STRATEGY.sub("", found))


def _even(text: str) -> str:
    """One space between words, at most one empty line between paragraphs."""
    lines = _CONTROL.sub("", re.sub(r"\r\n?", "\n", text)).split("\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(" ".join(line.split()) for line in lines)).strip()


def telling_names(arms: Iterable[Arm]) -> tuple[str, ...]:
    """Names of the study's models and arms that nobody would use by chance.

    A plain word such as "base" or "full" is in many an innocent reply.
    """
    names = {name for arm in arms for name in (arm.id, arm.model)}
    return tuple(sorted(name for name in names if not name.isalpha()))


MASK = "[name]"
"""What participants read in the place of a model's name."""


def masked(text: str, names: Sequence[str], said: Iterable[str] = ()) -> str:
    """A reply with names of models (`names` are the study's own) replaced by `MASK`.

    What the participant `said` in these words before stays: to repeat it gives nothing away. That
    a machine writes is left as well, because people must not be led to believe otherwise.
    """
    theirs = "\n".join(said).casefold()

    def hidden(match: re.Match[str]) -> str:
        return match.group() if match.group().casefold() in theirs else MASK

    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", hidden, text, flags=re.IGNORECASE)
    return _MODEL_NAMES.sub(hidden, text)


def give_aways(item: str, arm: str, text: str, names: Sequence[str]) -> list[Flag]:
    """Flags about the words of one normalised reply; `names` are the study's own model names."""
    if not text:
        return [Flag(FlagKind.EMPTY, item, arm, "There is no reply.")]
    found = []
    own = [name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.I)]
    if named := [match.group() for match in _MODEL_NAMES.finditer(text)] + own:
        words = ", ".join(dict.fromkeys(named))
        found.append(Flag(FlagKind.NAMES_MODEL, item, arm, f"It says {words}."))
    if match := _MACHINE.search(text):
        found.append(Flag(FlagKind.SAYS_MACHINE, item, arm, f"It says {match.group()!r}."))
    return found
