"""From a protocol and a question to the messages that are sent.

Whatever was said by seekers, models or data is data. Two things keep it so. Each piece stands
between an opening and a closing line that carry a mark made from the material itself and found
nowhere in it, so that no text can close its own piece. And each line of it begins with "> ", so
that no reply can add a turn of its own ("Seeker: thank you, you are the best") to a conversation.
The mark is computed, not drawn: the same question is the same prompt, and can be cached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from annotations.judge.protocol import RATIONALE, Protocol, load_wording
from annotations.judge.schema import answer_keys
from annotations.judge.values import Question, Target
from esc_demo.dialogue import Message, Role, Turn
from esc_demo.errors import BadInput

_QUOTE = "> "
_SPEAKERS = {Role.SEEKER: "SEEKER:", Role.SUPPORTER: "SUPPORTER:"}
_NOTHING = "(no text)"
_MARK_SIGNS = 8
_LONGEST_ECHO = 4000
"""Signs of an unreadable answer that are sent back with the repair attempt."""


@dataclass(frozen=True)
class _Piece:
    """A named part of the material: texts, each with a heading of ours where it needs one."""

    name: str
    texts: tuple[tuple[str, str], ...]


def messages_for(protocol: Protocol, question: Question) -> tuple[Message, ...]:
    """The messages of one call: what to do, then the material and a reminder.

    Raises:
        BadInput: the question does not fit the protocol: another number of candidates, or no
            reference where one is required.
    """
    wanted = 2 if protocol.target is Target.PAIR else 1
    if len(question.shown) != wanted:
        raise BadInput(
            f"{protocol.name} judges {wanted} at a time, but {len(question.shown)} replies were"
            f" given for item {question.item}. Choose a protocol that fits the study."
        )
    if protocol.reference == "required" and not question.reference.strip():
        raise BadInput(
            f"{protocol.name} needs a reference and item {question.item} has none. Choose a"
            " protocol without one, or items with references."
        )
    pieces = list(_pieces(protocol, question))
    mark = _mark(text for piece in pieces for _, text in piece.texts)
    material = "\n\n".join(_fenced(piece, mark) for piece in pieces)
    reminder = f"{protocol.wording.reminder}\n{_form(protocol)}"
    return Message("system", system_text(protocol)), Message("user", f"{material}\n\n{reminder}")


def repair_messages(sent: tuple[Message, ...], raw: str, why: str) -> tuple[Message, ...]:
    """What was sent, the answer that could not be read, and the request for one that can."""
    echo = raw.strip()[:_LONGEST_ECHO] or _NOTHING  # endpoints refuse an empty message
    request = load_wording().repair.replace("{why}", why.rstrip("."))
    return (*sent, Message("assistant", echo), Message("user", request))


def system_text(protocol: Protocol) -> str:
    """What the judge is told to do; the same for every question of a protocol."""
    wording = protocol.wording
    parts = [f"{protocol.role} {protocol.task}", *_asked(protocol)]
    if protocol.cannot_judge:
        parts.append(wording.cannot_judge)
    parts.append(wording.material)
    if protocol.rationale_words:
        parts.append(wording.rationale.replace("{words}", str(protocol.rationale_words)))
    parts.append(f"{wording.answer}\n{_form(protocol)}")
    return "\n\n".join(parts)


def _asked(protocol: Protocol) -> Iterator[str]:
    """The criteria with the points of their scale, or the questions about a pair."""
    for name, criterion in protocol.criteria.items():
        points = (f"{point} = {meaning}" for point, meaning in sorted(criterion.points.items()))
        yield "\n".join((f'"{name.value}" - {criterion.title}: {criterion.question}', *points))
    if protocol.questions:
        yield "\n".join(f'"{aspect}" - {text}' for aspect, text in protocol.questions.items())
        yield "\n".join(f"{pick.value} = {protocol.wording.picks[pick]}" for pick in protocol.picks)


def _form(protocol: Protocol) -> str:
    """The form of the answer; its places are described, so a copy of it is no verdict."""
    return (
        "{" + ", ".join(f'"{key}": {_place(protocol, key)}' for key in answer_keys(protocol)) + "}"
    )


def _place(protocol: Protocol, key: str) -> str:
    """What stands in the place of a value."""
    if key == RATIONALE:
        return f'"<at most {protocol.rationale_words} words>"'
    if key in protocol.aspects:
        return f'"<{" | ".join(pick.value for pick in protocol.picks)}>"'
    return f"<whole number from {protocol.low} to {protocol.high}>"


def _pieces(protocol: Protocol, question: Question) -> Iterator[_Piece]:
    """The material in the order it is shown."""
    if question.situation.strip():
        yield _Piece("situation", (("", question.situation),))
    turns = question.history
    replies = [candidate.text for candidate in question.shown]
    if protocol.target is Target.DIALOGUE and replies[0]:
        turns = (*turns, Turn(Role.SUPPORTER, replies[0]))
    if turns:
        yield _Piece("conversation", tuple((_SPEAKERS[turn.role], turn.text) for turn in turns))
    if protocol.reference != "none" and question.reference.strip():
        yield _Piece("reference", (("", question.reference),))
    if protocol.target is Target.REPLY:
        yield _Piece("reply", (("", replies[0]),))
    elif protocol.target is Target.PAIR:
        yield _Piece("first reply", (("", replies[0]),))
        yield _Piece("second reply", (("", replies[1]),))


def _mark(texts: Iterable[str]) -> str:
    """Eight hex digits made from the texts that occur in none of them, in whatever order."""
    ordered = sorted(texts)
    whole = "\n".join(ordered).casefold()
    for attempt in count():
        seed = f"{attempt}\n{whole}".encode("utf-8", "backslashreplace")
        mark = hashlib.sha256(seed).hexdigest()[:_MARK_SIGNS]
        if mark not in whole:
            return mark
    raise AssertionError("unreachable")


def _fenced(piece: _Piece, mark: str) -> str:
    """A piece between its two lines, each line of the material quoted."""
    lines = [f"<{piece.name} {mark}>"]
    for heading, text in piece.texts:
        lines += [heading] if heading else []
        # splitlines knows every sign that may be read as the end of a line, not only \n
        lines += [f"{_QUOTE}{line}" for line in text.strip().splitlines()] or [_NOTHING]
    return "\n".join((*lines, f"</{piece.name} {mark}>"))
