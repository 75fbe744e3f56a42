"""Behind the numbers: the list of items and arms, and one item with all that was said of it.

What people and models wrote is always shown as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, TypeVar

import pandas as pd

from annotations.analysis.tidy import UNDECIDED, Frames, scale_text
from annotations.behind import Behind, Chat, Comment
from annotations.reports.tables import PEOPLE, dimension_title
from annotations.values import RaterKind, RatingStatus
from esc_demo.dialogue import Role, Turn
from esc_demo.ui.ratings_lines import Asked, Line, chosen_lines

PAGE = 12
"""Lines on a page of the list."""

_WHO = {Role.SEEKER: "Seeker", Role.SUPPORTER: "Supporter"}
_BY = {RaterKind.HUMAN: "people", RaterKind.JUDGE: "judges"}
_NONE = '<td class="is-empty">-</td>'


@dataclass(frozen=True)
class Listed:
    """A page of the list."""

    html: str
    page: int
    """From 0, moved into range."""
    pages: int


def list_html(lines: Sequence[Line], asked: Asked, page: int, current: int | None) -> Listed:
    """The page of the list that was asked for, or the nearest there is."""
    found = chosen_lines(lines, asked)
    if not found:
        why = f" has “{escape(asked.find.strip())}” in its name" if asked.find.strip() else ""
        said = "Nothing has been answered here yet."
        if asked.other:
            said = "No item was answered for both of these arms. Choose two others."
        said = f"No item{why}." if why else said
        return Listed(f'<p class="esc-hint" role="status">{said}</p>', 0, 1)
    pages = -(-len(found) // PAGE)
    page = min(max(0, page), pages - 1)
    names = list(dict.fromkeys(name for at in found for name in lines[at].means))
    names = [name for name in names if asked.dimension in ("", name)]
    compared = any(line.wins or line.ties or line.losses for line in lines)
    heads = ["Item and arms" if asked.other else "Item and arm"]
    heads += [*map(dimension_title, names), "Raters"]
    heads += ["Won", "Tied", "Lost"] if compared else []
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(
        _line(lines[at], at, names, compared=compared, current=at == current)
        for at in found[page * PAGE : (page + 1) * PAGE]
    )
    return Listed(
        f'<p class="esc-hint">{len(found):,} lines, page {page + 1:,} of {pages:,}.'
        f" {_what(asked, names)} Choose a line to read what was rated.</p>"
        '<div class="esc-table esc-scores esc-items" role="region" aria-label="Items and arms">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>",
        page,
        pages,
    )


def _what(asked: Asked, names: Sequence[str]) -> str:
    """Which numbers these are, and on which scale."""
    who = _BY[asked.kind]
    if not names:
        return f"How often each was preferred by {who}."
    if asked.other:
        return (
            f"Mean differences in points (scale {scale_text(names)}), the first arm minus the"
            f" second, by {who}; won, tied and lost are the first arm's."
        )
    return f"Mean scores ({scale_text(names)}) by {who}; range: highest minus lowest."


def _line(line: Line, at: int, names: Sequence[str], *, compared: bool, current: bool) -> str:
    """A line; its button is what the keyboard finds."""
    cells = ""
    for name in names:
        if name in line.means:
            spread = f"<small>range {line.spreads[name]:.0f}</small>"
            mean = signed(line.means[name]) if line.other else f"{line.means[name]:.2f}"
            cells += f"<td>{mean}{spread}</td>"
        else:
            cells += _NONE
    unknown = f"<small>{line.unknown} without score</small>" if line.unknown else ""
    cells += f"<td>{line.raters}{unknown}</td>"
    if compared:
        cells += "".join(f"<td>{count}</td>" for count in (line.wins, line.ties, line.losses))
    mark = ' aria-current="true"' if current else ""
    return (
        f'<tr data-item="{at}"{mark}><th scope="row"><button type="button">'
        f"<b>{escape(line.item)}</b><small>{escape(_arms(line))}</small></button></th>{cells}</tr>"
    )


def _arms(line: Line) -> str:
    """Whose line it is."""
    return f"{line.arm} − {line.other}" if line.other else line.arm  # noqa: RUF001 (a minus sign)


def signed(value: float) -> str:
    """Two places, with a sign unless it is zero: `+0.50`."""
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")  # noqa: RUF001


def read_html(
    behind: Behind, frames: Frames, lines: Sequence[Line], chosen: Line, *, inside: bool
) -> str:
    """One item: conversation, replies side by side, every rater's answer, and comments.

    Of a line of two arms only those two are shown. Only who is `inside` sees chats and people's
    comments.
    """
    of_item = [line for line in lines if line.item == behind.item and not line.other]
    texts = dict(behind.replies)
    pair = (chosen.arm, chosen.other) if chosen.other else ()
    arms = [arm for arm in texts if any(line.arm == arm for line in of_item)]
    arms = [arm for arm in arms if arm in pair] if pair else arms
    marked = pair or (chosen.arm,)
    cards = "".join(_card(arm, texts[arm], of_item, chosen=arm in marked) for arm in arms)
    held = [one for one in lines if (one.item, one.arm, one.other) == (behind.item, *pair)]
    between = "".join(f'<p class="esc-meta">{escape(_between(one))}</p>' for one in held)
    return (
        f'<section class="esc-reader" aria-label="Behind the numbers"><h3>{escape(behind.item)}'
        f"</h3>{_situation(behind.situation)}{_history(behind.history)}"
        f'{between}<div class="esc-replies">{cards}</div>'
        f"{_chats(_of(behind.chats, pair), inside=inside)}{_answers(frames, behind.item, pair)}"
        f"{_comments(behind, _of(behind.comments, pair), inside=inside)}</section>"
    )


T = TypeVar("T", Chat, Comment)


def _of(all_of_it: Sequence[T], pair: Sequence[str]) -> list[T]:
    """What is about these arms, or about the whole screen; all of it where none are named."""
    return [one for one in all_of_it if not pair or set(one.arm.split(" and ")) <= {*pair, ""}]


def _between(line: Line) -> str:
    """Such as "People, x less y (n=4): Comforting +0.75 · x won 2, tied 0, lost 1"."""
    bits = [f"{dimension_title(name)} {signed(mean)}" for name, mean in line.means.items()]
    if line.wins or line.ties or line.losses:
        bits.append(f"{line.arm} won {line.wins}, tied {line.ties}, lost {line.losses}")
    said = " · ".join(bits) or "no score"
    return f"{PEOPLE[line.kind]}, {_arms(line)} (n={line.raters}): {said}"


def _situation(text: str) -> str:
    return f'<p class="esc-hint" dir="auto">Situation: {escape(text)}</p>' if text.strip() else ""


def _history(turns: Sequence[Turn]) -> str:
    """What was said before; the last message stands by itself."""
    if not turns:
        return ""
    *earlier, last = turns
    before = (
        f'<details class="esc-log-lines" open><summary>{len(earlier)} earlier'
        f" message{'s' if len(earlier) != 1 else ''}</summary>"
        f'<div class="esc-behind" tabindex="0" role="region" aria-label="History">'
        f"{_messages(earlier)}</div></details>"
        if earlier
        else ""
    )
    return before + _messages([last])


def _messages(turns: Sequence[Turn]) -> str:
    return "".join(
        f'<article class="esc-msg esc-{turn.role.value}"><div class="esc-who">{_WHO[turn.role]}'
        f'</div><div class="esc-text" dir="auto">{escape(turn.text)}</div></article>'
        for turn in turns
    )


def _card(arm: str, text: str, lines: Sequence[Line], *, chosen: bool) -> str:
    """The reply of an arm with its figures; the one of the chosen line is marked."""
    figures = "".join(
        f'<p class="esc-meta">{escape(_figures(line))}</p>' for line in lines if line.arm == arm
    )
    mark = 'class="esc-answer is-chosen" aria-current="true"' if chosen else 'class="esc-answer"'
    return (
        f"<article {mark}><h4>{escape(arm)}</h4>"
        f'<div class="esc-text" dir="auto">{escape(text)}</div>{figures}</article>'
    )


def _figures(line: Line) -> str:
    """Such as "People: comforting 3.40 · won 2, tied 0, lost 1"."""
    bits = [f"{dimension_title(name)} {mean:.2f}" for name, mean in line.means.items()]
    if line.wins or line.ties or line.losses:
        bits.append(f"won {line.wins}, tied {line.ties}, lost {line.losses}")
    return f"{PEOPLE[line.kind]} (n={line.raters}): {' · '.join(bits) or 'no score'}"


def _answers(frames: Frames, item: str, pair: Sequence[str]) -> str:
    """Every rater's scores, and which reply they preferred; of two arms what is about them."""
    ratings = frames.ratings[(frames.ratings["item"] == item) & (frames.ratings["control"] == "")]
    preferences = frames.preferences[
        (frames.preferences["item"] == item) & (frames.preferences["control"] == "")
    ]
    if pair:
        ratings = ratings[ratings["arm"].isin(pair)]
        both = preferences["arm_a"].isin(pair) & preferences["arm_b"].isin(pair)
        preferences = preferences[both]
    names = [name for name in frames.dimensions if name in set(ratings["dimension"])]
    rows: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for row in ratings.to_dict("records"):
        cell = rows.setdefault(_key(row, row["arm"]), {}).setdefault(row["dimension"], [])
        cell.append(_score(row))
    for row in preferences.to_dict("records"):
        for arm, other in ((row["arm_a"], row["arm_b"]), (row["arm_b"], row["arm_a"])):
            cell = rows.setdefault(_key(row, arm), {}).setdefault("", [])
            cell.append(_preferred(row, arm, other))
    if not rows:
        return '<p class="esc-hint">Nobody has answered this item.</p>'
    heads = ["Rater", "Arm", *map(dimension_title, names)]
    heads += ["Preference"] if len(preferences) else []
    columns = [*names, *([""] if len(preferences) else [])]
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(
        f'<tr class="is-{kind}"><th scope="row">{escape(rater)}</th><td>{escape(arm)}</td>'
        + "".join(_cell(found.get(name)) for name in columns)
        + "</tr>"
        for (kind, rater, arm), found in sorted(rows.items())
    )
    return (
        '<h4>Every answer</h4><div class="esc-table esc-scores esc-answers" tabindex="0"'
        f' role="region" aria-label="Every answer to this item"><table><thead><tr>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )


def _key(row: dict[str, Any], arm: str) -> tuple[str, str, str]:
    return str(row["rater_kind"]), str(row["rater"]), arm


def _score(row: dict[str, Any]) -> str:
    """The score, or in words why there is none."""
    if row["status"] != RatingStatus.SCORED.value or pd.isna(row["score"]):
        return str(row["status"]).replace("_", " ")
    return f"{row['score']:g}"


def _preferred(row: dict[str, Any], arm: str, other: str) -> str:
    """A preference from the side of `arm`. Judges are asked in both orders, and by aspect."""
    choice = row["choice"]
    said = f"preferred to {other}" if choice == arm else f"{other} preferred"
    if choice in UNDECIDED:
        said = f"{choice.replace('_', ' ')} with {other}"
    if row["rater_kind"] == RaterKind.HUMAN.value:
        return said
    first = row["arm_a"] if row["side_a"] == "left" else row["arm_b"]
    order = f" ({first} first)" if row["side_a"] else ""
    return f"{row['aspect'] + ': ' if row['aspect'] else ''}{said}{order}"


def _cell(values: list[str] | None) -> str:
    return f"<td>{escape('; '.join(values))}</td>" if values else _NONE


def _comments(behind: Behind, comments: Sequence[Comment], *, inside: bool) -> str:
    """What raters wrote. A person's words may be personal, and so may a judge's about a chat."""
    shown = [
        one for one in comments if inside or (one.kind is RaterKind.JUDGE and not behind.chats)
    ]
    said = "".join(
        f"<li><b>{escape(one.rater)}</b>{f' on {escape(one.arm)}' if one.arm else ''}:"
        f' <span class="esc-text" dir="auto">{escape(one.text)}</span></li>'
        for one in shown
    )
    listed = f'<ul class="esc-comments">{said}</ul>' if said else ""
    hint = ""
    if not inside:
        hint = "What people wrote may be personal: it is shown after the login on the Admin tab."
    elif not shown:
        hint = "Nobody wrote a comment."
    hint = f'<p class="esc-hint">{hint}</p>' if hint else ""
    return f"<h4>Comments</h4>{listed}{hint}"


def _chats(chats: Sequence[Chat], *, inside: bool) -> str:
    """Live chats side by side, for the owner."""
    if not chats:
        return ""
    if not inside:
        return (
            '<p class="esc-hint">These were live chats, in which people wrote about themselves:'
            " they are shown after the login on the Admin tab.</p>"
        )
    cards = "".join(
        f'<article class="esc-answer"><h4>{escape(one.rater)} with {escape(one.arm)}</h4>'
        f'<div class="esc-behind" tabindex="0" role="region" aria-label="Chat">'
        f"{_messages(one.turns)}</div></article>"
        for one in chats
    )
    return f'<div class="esc-replies">{cards}</div>'
