"""What a participant or an owner may be told, with the HTTP status that goes with it."""

from __future__ import annotations

from http import HTTPStatus

from esc_demo.errors import EscError


class StudyError(EscError, ValueError):
    """A request about a study that cannot be met; the text can be shown as it stands."""

    def __init__(self, text: str, status: HTTPStatus) -> None:
        """With the `status` an HTTP answer should carry."""
        super().__init__(text)
        self.status = int(status)


def not_found(text: str) -> StudyError:
    """Nothing goes by that name or code."""
    return StudyError(text, HTTPStatus.NOT_FOUND)


def forbidden(text: str) -> StudyError:
    """It is there, but not for this participant."""
    return StudyError(text, HTTPStatus.FORBIDDEN)


def conflict(text: str) -> StudyError:
    """It does not fit the state things are in."""
    return StudyError(text, HTTPStatus.CONFLICT)


def gone(text: str) -> StudyError:
    """It is over, or has not begun."""
    return StudyError(text, HTTPStatus.GONE)


def unusable(text: str) -> StudyError:
    """What was posted is not what was asked for."""
    return StudyError(text, HTTPStatus.UNPROCESSABLE_ENTITY)
