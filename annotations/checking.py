"""What forms and data files share: errors as sentences, and what counts as an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from annotations.values import HIGHEST_SCORE, LOWEST_SCORE, RatingStatus
from esc_demo.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def is_answer(answer: object) -> bool:
    """Whether it is one of 0..5 as an int (True is not 1, 3.0 is not 3) or cannot judge."""
    if isinstance(answer, str):
        return answer == RatingStatus.CANNOT_JUDGE
    return type(answer) is int and LOWEST_SCORE <= answer <= HIGHEST_SCORE


def problem(sentence: str) -> PydanticCustomError:
    """A validation error whose text is fit to be shown; braces are no placeholders in it."""
    return PydanticCustomError("form", "{sentence}", {"sentence": sentence})


def shown(value: object) -> str:
    """`value` as text that can be sent: half a surrogate pair is written as its escape."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def form_sentences(error: ValidationError, name_chars: int | None = None) -> str:
    """What is wrong with a form, each thing said once; long names are cut to `name_chars`."""
    return " ".join(
        dict.fromkeys(
            item["msg"]
            if item["type"] == "form"
            else f"{'.'.join(shown(part)[:name_chars] for part in item['loc'])}: {item['msg']}."
            for item in error.errors(include_url=False, include_context=False)
        )
    )


def read_yaml_text(path: Path) -> Any:
    """The value in a YAML file.

    Raises:
        ConfigError: it cannot be read, or is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def checked(model: type[Model], value: object, path: Path) -> Model:
    """`value`, read from `path`, as a `model`.

    Raises:
        ConfigError: it does not fit; the text names the file and each entry.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']}"
            for item in error.errors(include_url=False)
        ]
        raise ConfigError(f"{path}: " + "; ".join(lines)) from error
