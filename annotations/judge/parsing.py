"""From a judge's raw text to a verdict, or the reason why there is none.

Read are JSON and what comes close to it (`lenient`), alone or among prose; failing that, lines of
the form `Engagement: 4/5`; and for a protocol with one question, its bare answer. If there are
several verdicts the last complete one counts. A score off the scale, half a point, a missing
criterion or a number for another scale is unreadable: nothing is clamped, rounded or guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from annotations.judge.lenient import Bare, Entries, Value, inner, structures
from annotations.judge.protocol import RATIONALE, Protocol
from annotations.judge.values import Pick, Target, Verdict
from annotations.values import RatingStatus, Score, StudyDimension

_LONGEST = 50_000
"""Signs of an answer that are read; nothing sensible is longer."""

# Other words for a key, in the form that `_plain` gives. A judge's "Suggestions" is our suggestion.
_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "engagement": ("engaging", "engage"),
    "comforting": ("comfort", "comfortingness"),
    "appropriateness": ("appropriate",),
    "suggestion": ("suggestions", "suggesting"),
    "relevance": ("relevant", "relevancy"),
    "fluency": ("fluent",),
    "informativeness": ("informative",),
    "coherence": ("coherent", "logical coherence"),
    "exploration": ("explore", "exploring"),
    "action": ("actions",),
    "overall": ("all in all",),
}
# Only where one thing is asked can these mean it.
_THE_ONE = ("score", "rating", "grade", "g", "g score", "overall score", "final score")
_THE_ONE_OF_PAIR = ("verdict", "winner", "better", "best", "choice", "preference", "answer", "pick")
_RATIONALES = (RATIONALE, "explanation", "reason", "reasoning", "analysis", "justification")
_WRAPPERS = frozenset(
    {"score", "scores", "rating", "ratings", "verdict", "verdicts", "judgement", "judgment"}
    | {"evaluation", "result", "results", "answer", "output", "criteria", "dimensions", "aspects"}
)
_NAME_KEYS = ("name", "criterion", "dimension", "aspect", "key")
_VALUE_KEYS = ("score", "rating", "value", "points", "verdict", "pick", "winner", "answer")

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_WORD = rf"(?:{'|'.join(_WORDS)})\b"
_NUMBER = rf"(?:[+-]?\d+(?:\.\d+)?|{_WORD})"
_SCORE = re.compile(
    rf"(?P<score>{_NUMBER})"
    rf"(?:\s*(?:/|out of|of)\s*(?P<most>{_NUMBER}))?"
    r"\s*(?:points?|stars?)?"
    # "4 (warm)" or "4: Warm; shows why" is four; "4 - 5" and "4 (maybe 5)" are nothing.
    rf"(?:\s*[(:=\u2013\u2014-](?!\s*{_WORD})[^\d]*)?"
)
_WITHHELD = frozenset({"cannot judge", "can not judge", "can t judge", "null", "n a"})
_PICKS: Mapping[Pick, frozenset[str]] = {
    Pick.FIRST: frozenset({"first", "1", "one", "a", "reply 1", "reply one", "reply a"}),
    Pick.SECOND: frozenset({"second", "2", "two", "b", "reply 2", "reply two", "reply b"}),
    Pick.TIE: frozenset({"tie", "a tie", "tied", "draw", "equal", "equally good", "about equal"}),
    Pick.BOTH_BAD: frozenset({"both bad", "both are bad", "neither is any good"}),
}
_PICK_EXTRAS = re.compile(r"^the |(?: one| reply)?(?: is better)?$")
_THINKING = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""Signs that not every database stores."""
_CANNOT = r"can(?:no|['\u2019])t|won['\u2019]t|will not|must decline to|unable to|not able to"
_REFUSAL = re.compile(
    r"\W*(?:(?:unfortunately|sorry)\W+)?(?:as an AI\b|I(?:['\u2019]m| am) sorry,? but\b|"
    rf"I(?:['\u2019]m| am)? (?:{_CANNOT}) "
    r"(?:assist|help|rate|evaluate|judge|provide|comply|continue|engage|fulfill?|score|compare))",
    re.IGNORECASE,
)

Answer = TypeVar("Answer", Score, Pick)


class Unreadable(ValueError):
    """An answer from which no verdict can be read; the text is the reason."""


def read_verdict(protocol: Protocol, raw: str) -> Verdict:
    """The verdict in a judge's answer.

    Raises:
        Unreadable: there is none; the reason is fit to be told to the judge.
    """
    text = _after_thinking(raw)
    names = _names(protocol)
    wanted = tuple(dict.fromkeys(names.values()))
    found = structures(text)
    stated = _last_complete(found.structures, names, wanted)
    rest = _plain(found.unread)
    if found.flaw and (stated is None or any(_plain(name) in rest for name in wanted)):
        raise Unreadable(f"the JSON {found.flaw}")
    if stated is None:
        stated = dict(_lines(text, names)) or _bare_answer(text, wanted)
    if not stated:
        raise Unreadable("there is no verdict in it")
    if missing := [name for name in wanted if stated.get(name) is None]:
        raise Unreadable(f"there is no answer for {', '.join(missing)}")
    rationale = _rationale(found.structures)
    if protocol.target is Target.PAIR:
        return Verdict(picks=_all(stated, wanted, _pick_reader(protocol)), rationale=rationale)
    scores = _all(stated, wanted, _score_reader(protocol))
    return Verdict({StudyDimension(name): scores[name] for name in wanted}, rationale=rationale)


def is_refusal(raw: str) -> bool:
    """Whether the words are those of a refusal; ask only where no verdict could be read."""
    return bool(_REFUSAL.match(raw))


def _after_thinking(raw: str) -> str:
    """The answer without what a reasoning model wrote on its way there."""
    marks = list(_THINKING.finditer(raw))
    if marks and not marks[-1].group(1):
        raise Unreadable("the answer ends before the thinking does")
    text = raw[marks[-1].end() :] if marks else raw
    if len(text) > _LONGEST:
        raise Unreadable(f"it is longer than {_LONGEST:,} signs")
    return text


def _plain(text: str) -> str:
    """Lower case, words and single spaces only; what stands in parentheses is left out."""
    words = re.sub(r"[\W_]+", " ", re.sub(r"\([^()]*\)", " ", text)).split()
    return " ".join(words).lower()


def _names(protocol: Protocol) -> dict[str, str]:
    """The key of the answer for each way of writing it, in plain form."""
    keys = [name.value for name in protocol.dimensions] or list(protocol.aspects)
    names: dict[str, str] = {}
    for key in keys:
        for way in (_plain(key), *_SYNONYMS.get(key, ())):
            names |= {way: key, f"{way} score": key, f"{way} rating": key}
    if len(keys) == 1:
        more = _THE_ONE_OF_PAIR if protocol.target is Target.PAIR else _THE_ONE
        names |= dict.fromkeys(more, keys[0])
    return names


def _last_complete(
    found: tuple[Entries, ...], names: Mapping[str, str], wanted: tuple[str, ...]
) -> dict[str, Value] | None:
    """What the last structure with all the keys says; else that of all, if none repeats a key.

    None if no structure has any of the keys.
    """
    said = [stated for one in found if (stated := dict(_stated(one, names)))]
    for stated in reversed(said):
        if all(stated.get(key) is not None for key in wanted):
            return stated
    if not said:
        return None
    together = {key: value for stated in said for key, value in stated.items()}
    return together if len(together) == sum(map(len, said)) else said[-1]


def _stated(entries: Entries, names: Mapping[str, str]) -> Iterator[tuple[str, Value]]:
    """What a structure says about each key, in order: doubles are repeated."""
    by_key = {_plain(key): value for key, value in entries.items if key is not None}
    named = _first(by_key, _NAME_KEYS)
    if isinstance(named, str) and _plain(named) in names:  # {"criterion": "fluency", "score": 4}
        yield names[_plain(named)], _first(by_key, _VALUE_KEYS)
        return
    for key, value in entries.items:
        plain = "" if key is None else _plain(key)
        if not isinstance(value, Entries):
            if plain in names:
                yield names[plain], value
        elif plain in names and (nested := _value_in(value)) is not None:
            yield names[plain], nested
        elif key is None or plain in names or plain in _WRAPPERS:
            yield from _stated(value, names)


def _value_in(entries: Entries) -> Value:
    """The score or pick of `{"score": 4, "reason": ...}`."""
    by_key = {_plain(key): value for key, value in entries.items if key is not None}
    return _first(by_key, _VALUE_KEYS)


def _first(by_key: Mapping[str, Value], keys: Iterable[str]) -> Value:
    """The value of the first of `keys` that is there."""
    return next((by_key[key] for key in keys if key in by_key), None)


def _lines(text: str, names: Mapping[str, str]) -> Iterator[tuple[str, Value]]:
    """What prose says in the form `Engagement: 4`, on lines of their own or one after another."""
    ways = "|".join(
        re.escape(name).replace(r"\ ", r"[ _-]+") for name in sorted(names, key=len, reverse=True)
    )
    statement = re.compile(
        rf"(?<![\w-])({ways})(?: *\([^()\n]*\))?[\"'*_` \t]*(?:[:=|\u2013\u2014]|- )([^\n,;|]+)",
        re.IGNORECASE,
    )
    for found in statement.finditer(text):
        yield names[_plain(found.group(1))], _bared(found.group(2))


def _bare_answer(text: str, wanted: tuple[str, ...]) -> dict[str, Value]:
    """The whole text as the answer, where one thing is asked and the text is no sentence."""
    bared = _bared(text)
    return {wanted[0]: bared} if len(wanted) == 1 and 0 < len(bared) <= 30 else {}


def _bared(text: str) -> str:
    """The text without the signs that Markdown and full stops put around it."""
    return text.strip(" \t\r\n[]{}\"'`*_.")


def _all(
    stated: Mapping[str, Value], wanted: tuple[str, ...], read: Callable[[str], Answer]
) -> dict[str, Answer]:
    """Every answer read; all that is wrong with them is said together."""
    answers: dict[str, Answer] = {}
    problems: list[str] = []
    for key in wanted:
        value = stated[key]
        text = value.text if isinstance(value, Bare) else value
        if value == Bare("None"):  # Python's null; quoted it might mean "no suggestion at all"
            text = "null"
        try:
            if not isinstance(text, str):
                raise Unreadable("is a structure and no answer")
            answers[key] = read(text)
        except Unreadable as error:
            problems.append(f"{key} {error}")
    if problems:
        raise Unreadable("; ".join(problems))
    return answers


def _score_reader(protocol: Protocol) -> Callable[[str], Score]:
    """How a score on the protocol's scale is read."""
    low, high = protocol.low, protocol.high

    def read(text: str) -> Score:
        shown = f"is {text[:40]!r}"
        if protocol.cannot_judge and _plain(text) in _WITHHELD:
            return RatingStatus.CANNOT_JUDGE.value
        match = _SCORE.fullmatch(_bared(text).lower())
        if match is None:
            raise Unreadable(f"{shown}, which is no score")
        if match["most"] is not None and _number(match["most"]) != high:
            raise Unreadable(f"{shown}, but the scale ends at {high}")
        score = _number(match["score"])
        if not low <= score <= high:
            raise Unreadable(f"{shown}, which is outside {low} to {high}")
        if score != int(score):
            raise Unreadable(f"{shown}; only whole numbers can be given")
        return int(score)

    return read


def _number(text: str) -> float:
    """The number that digits or a word stand for."""
    return float(_WORDS.index(text)) if text in _WORDS else float(text)


def _pick_reader(protocol: Protocol) -> Callable[[str], Pick]:
    """How an answer about a pair is read."""
    ways = {way: pick for pick in protocol.picks for way in _PICKS[pick]}

    def read(text: str) -> Pick:
        pick = ways.get(_PICK_EXTRAS.sub("", _plain(text))) or ways.get(_plain(text))
        if pick is None:
            allowed = ", ".join(pick.value for pick in protocol.picks)
            raise Unreadable(f"is {text[:40]!r}, which is none of {allowed}")
        return pick

    return read


def _rationale(found: Iterable[Entries]) -> str:
    """The explanation that the last structure with one holds."""
    for entries in reversed(tuple(found)):
        for one in (entries, *inner(entries)):
            by_key = {_plain(key): value for key, value in one.items if key is not None}
            if isinstance(text := _first(by_key, _RATIONALES), str):
                return _UNFIT.sub("", text).strip()
    return ""
