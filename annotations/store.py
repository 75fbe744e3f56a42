"""The one way to the database.

Every method opens a short session of its own, so a `Store` may be shared by all threads.
Writers take their turn; one that finds the database locked tries again for a few seconds.
"""

from __future__ import annotations

from typing import Self, TypeVar

from sqlalchemy import func
from sqlmodel import Session, SQLModel, select
from sqlmodel.sql.expression import SelectOfScalar

from annotations.database import BUSY_MS, open_database
from annotations.forms import PreferenceForm, RatingForm
from annotations.rows import (
    generation_of,
    generation_row,
    preference_view,
    rating_rows,
    rating_view,
)
from annotations.scales import load_scales
from annotations.schema import (
    Conversation,
    Generation,
    Preference,
    Rating,
    RatingSubmission,
    Turn,
    unsuperseded,
)
from annotations.studies.desk import Desk
from annotations.transactions import PATIENCE_S, Transactions
from annotations.values import (
    Counts,
    GenerationRow,
    Origin,
    PreferenceView,
    RaterKind,
    RatingView,
)
from esc_demo.dialogue import clean_message
from esc_demo.engine import HistoryPolicy, Outcome, Request
from esc_demo.errors import BadInput

Row = TypeVar("Row", bound=SQLModel)


class Store:
    """Conversations, generations and judgements. Use as a context manager, or `close` it."""

    def __init__(self, url: str, *, busy_ms: int = BUSY_MS, patience_s: float = PATIENCE_S) -> None:
        """Open the database and bring its tables up to date.

        Raises:
            ConfigError: the URL cannot be understood.
            StorageError: the database cannot be opened, written or migrated.
        """
        self.engine = open_database(url, busy_ms)
        self._database = Transactions(self.engine, patience_s)

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    def desk(self) -> Desk:
        """The desk of the studies in this database."""
        return Desk(self._database)

    def open_conversation(
        self, *, origin: Origin | str, policy: HistoryPolicy, app_version: str
    ) -> str:
        """Begin a conversation; returns its id."""
        row = {"origin": Origin(origin), "history_policy": policy, "app_version": app_version}
        return self._database.write(lambda session: _add(session, Conversation(**row)))

    def add_turn(
        self,
        conversation_id: str,
        position: int,
        seeker_text: str,
        policy: HistoryPolicy,
        supersedes: str | None = None,
    ) -> str:
        """Store one message of the seeker, as typed; returns the turn's id.

        `position` counts the seeker's messages from 0. An edited message names the turn it
        `supersedes` and takes its position; the old one stays.

        Raises:
            BadInput: unknown conversation, a position that is taken, an unusable text, or
                `supersedes` is not a turn at this position.
        """
        text = clean_message(seeker_text)

        def work(session: Session) -> str:
            _get(session, Conversation, conversation_id, "conversation")
            here = (Turn.conversation_id == conversation_id) & (Turn.position == position)
            taken = session.exec(select(Turn.id, Turn.revision).where(here)).all()
            if supersedes is None and taken:
                raise BadInput(
                    f"Message {position + 1} of this conversation is already stored; an edited"
                    " message must name the one it supersedes."
                )
            if supersedes is not None and supersedes not in {row.id for row in taken}:
                raise BadInput(f"There is no earlier version of message {position + 1} to edit.")
            turn = Turn(
                conversation_id=conversation_id,
                position=position,
                revision=max((row.revision for row in taken), default=-1) + 1,
                seeker_text=text,
                history_policy=policy,
                supersedes=supersedes,
            )
            return _add(session, turn)

        return self._database.write(work)

    def choose(self, turn_id: str, generation_id: str) -> None:
        """Note which reply all panes see next (shared history).

        Raises:
            BadInput: unknown turn or generation, one of another turn, or one without text.
        """

        def work(session: Session) -> None:
            turn = _get(session, Turn, turn_id, "turn")
            if _readable(session, generation_id).turn_id != turn.id:
                raise BadInput("The chosen reply answers another message.")
            turn.chosen_generation_id = generation_id
            session.add(turn)

        self._database.write(work)

    def record(
        self,
        conversation_id: str,
        turn_id: str,
        pane: int,
        attempt: int | None,
        policy: HistoryPolicy,
        request: Request,
        outcome: Outcome,
    ) -> str:
        """Store one reply, finished, stopped or failed; returns the generation's id.

        `attempt` counts from 0 and grows with each regeneration; None takes the next one.

        Raises:
            BadInput: the turn is unknown or belongs to another conversation.
            StorageError: the attempt is already stored, or the database stays locked or is
                full; nothing was stored then.
        """

        def work(session: Session) -> str:
            turn = _get(session, Turn, turn_id, "turn", lock=True)
            if turn.conversation_id != conversation_id:
                raise BadInput("The message belongs to another conversation.")
            here = (Generation.turn_id == turn_id) & (Generation.pane == pane)
            number = attempt
            if number is None:
                last = session.exec(select(func.max(Generation.attempt)).where(here)).one()
                number = 0 if last is None else last + 1
            row = generation_of(
                conversation_id=conversation_id,
                turn_id=turn_id,
                pane=pane,
                attempt=number,
                policy=policy,
                request=request,
                outcome=outcome,
            )
            return _add(session, row)

        return self._database.write(work)

    def rate(self, form: RatingForm) -> None:
        """Store a rating. It supersedes an earlier one by the same rater of the same reply.

        Raises:
            BadInput: unknown generation, one without text, or submitted before.
        """

        def work(session: Session) -> None:
            _refuse_repeated(session, RatingSubmission, form.submission_id)
            _readable(session, form.generation_id, lock=True)
            mine = _rating_of(form.generation_id, form.rater_id, form.rater_kind)
            current = session.exec(mine).first()
            submission = RatingSubmission(
                id=form.submission_id,
                generation_id=form.generation_id,
                rater_id=form.rater_id,
                rater_kind=form.rater_kind,
                comment=form.comment,
                scales_version=load_scales().version,
                supersedes=current and current.id,
            )
            _add(session, submission)
            session.add_all(rating_rows(form.submission_id, form.scores))

        self._database.write(work, refused="The rating was refused by the database")

    def prefer(self, form: PreferenceForm) -> None:
        """Store a preference. It supersedes an earlier one by the same rater on the same turn.

        Raises:
            BadInput: unknown turn or generation, a generation of another turn or without text,
                or submitted before.
        """

        def work(session: Session) -> None:
            _refuse_repeated(session, Preference, form.submission_id)
            _get(session, Turn, form.turn_id, "turn", lock=True)
            for generation_id in form.compared:
                if _readable(session, generation_id).turn_id != form.turn_id:
                    raise BadInput("A compared reply answers another message.")
            mine = _preference_of(form.turn_id, form.rater_id, form.rater_kind)
            current = session.exec(mine).first()
            preference = Preference(
                id=form.submission_id,
                **form.model_dump(exclude={"submission_id", "compared"}),
                compared=list(form.compared),
                scales_version=load_scales().version,
                supersedes=current and current.id,
            )
            _add(session, preference)

        self._database.write(work, refused="The preference was refused by the database")

    def current_rating(
        self, generation_id: str, rater_id: str, rater_kind: RaterKind = RaterKind.HUMAN
    ) -> RatingView | None:
        """The rating in force, or None when this rater has not rated this reply."""

        def work(session: Session) -> RatingView | None:
            row = session.exec(_rating_of(generation_id, rater_id, rater_kind)).first()
            if row is None:
                return None
            answers = session.exec(select(Rating).where(Rating.submission_id == row.id))
            return rating_view(row, answers)

        return self._database.read(work)

    def current_preference(
        self, turn_id: str, rater_id: str, rater_kind: RaterKind = RaterKind.HUMAN
    ) -> PreferenceView | None:
        """The preference in force, or None when this rater has not compared these replies."""

        def work(session: Session) -> PreferenceView | None:
            row = session.exec(_preference_of(turn_id, rater_id, rater_kind)).first()
            return None if row is None else preference_view(row)

        return self._database.read(work)

    def generations(self, conversation_id: str) -> list[GenerationRow]:
        """All replies of a conversation, in the order of messages, versions, panes, attempts."""
        query = (
            select(Generation)
            .join(Turn, Turn.id == Generation.turn_id)
            .where(Generation.conversation_id == conversation_id)
            .order_by(Turn.position, Turn.revision, Generation.pane, Generation.attempt)
        )
        return self._database.read(
            lambda session: [generation_row(row) for row in session.exec(query)]
        )

    def newest_turns(self, conversation_id: str) -> dict[int, str]:
        """The id of the newest version of each message by its position, answered or not."""
        query = (
            select(Turn.position, Turn.id)
            .where(Turn.conversation_id == conversation_id)
            .order_by(Turn.position, Turn.revision)
        )
        return self._database.read(lambda session: dict(session.exec(query).all()))

    def counts(self) -> Counts:
        """How much is stored."""

        def count(session: Session, table: type[SQLModel], *where: object) -> int:
            return session.exec(select(func.count()).select_from(table).where(*where)).one()

        return self._database.read(
            lambda session: Counts(
                generations=count(session, Generation),
                ratings=count(session, RatingSubmission, unsuperseded(RatingSubmission)),
                preferences=count(session, Preference, unsuperseded(Preference)),
            )
        )


def _add(session: Session, row: SQLModel) -> str:
    """Add `row` and send it at once, so that rows which refer to it come after; its id."""
    session.add(row)
    session.flush()
    return row.id


def _get(session: Session, table: type[Row], row_id: str, what: str, lock: bool = False) -> Row:
    """The row with this id, or a refusal.

    With `lock`, writers about the same thing take turns on PostgreSQL; on SQLite all do anyway.
    """
    row = session.get(table, row_id, with_for_update=lock or None)
    if row is None:
        raise BadInput(f"There is no {what} {row_id!r}. Reload the page and try again.")
    return row


def _readable(session: Session, generation_id: str, lock: bool = False) -> Generation:
    """The generation with this id, if it has any text."""
    row = _get(session, Generation, generation_id, "reply", lock)
    if not row.reply.strip():
        raise BadInput("This reply has no text, so there is nothing to judge.")
    return row


def _refuse_repeated(session: Session, table: type[SQLModel], submission_id: str) -> None:
    """A nonce is used once."""
    if session.get(table, submission_id) is not None:
        raise BadInput("This was submitted before and is already stored.")


def _rating_of(
    generation_id: str, rater_id: str, kind: RaterKind
) -> SelectOfScalar[RatingSubmission]:
    return select(RatingSubmission).where(
        RatingSubmission.generation_id == generation_id,
        RatingSubmission.rater_id == rater_id,
        RatingSubmission.rater_kind == kind,
        unsuperseded(RatingSubmission),
    )


def _preference_of(turn_id: str, rater_id: str, kind: RaterKind) -> SelectOfScalar[Preference]:
    return select(Preference).where(
        Preference.turn_id == turn_id,
        Preference.rater_id == rater_id,
        Preference.rater_kind == kind,
        unsuperseded(Preference),
    )
