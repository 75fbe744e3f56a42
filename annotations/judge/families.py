"""Which family a model is of, to see whether a judge prefers its own kin."""

from __future__ import annotations

import re
from collections.abc import Mapping

from esc_demo.errors import ConfigError
from esc_demo.models.specs import ModelSpec, load_specs
from esc_demo.settings import get_settings

FAMILIES = {
    "gpt": ("gpt", "chatgpt", "o1", "o3", "o4", "davinci"),
    "claude": ("claude",),
    "gemini": ("gemini", "gemma"),
    "llama": ("llama", "vicuna", "alpaca"),
    "mistral": ("mistral", "mixtral", "ministral", "codestral"),
    "qwen": ("qwen", "qwq"),
    "deepseek": ("deepseek",),
    "smollm": ("smollm",),
    "phi": ("phi",),
    "command": ("command", "aya"),
    "falcon": ("falcon",),
    "yi": ("yi",),
    "glm": ("glm", "chatglm"),
    "internlm": ("internlm",),
    "baichuan": ("baichuan",),
    "olmo": ("olmo", "tulu"),
}
"""Models that were trained by one maker on much the same data, by how their names begin."""

_FAMILY = {start: family for family, starts in FAMILIES.items() for start in starts}


def family_of(model: str, specs: Mapping[str, ModelSpec]) -> str:
    """The family of a model known by its id in `models.yaml` or by its usual name; empty if not.

    A fine-tuned model is of the family of its base.
    """
    spec = specs.get(model)
    names = (model,) if spec is None else (spec.base, spec.family)
    for name in names:
        # The folder or maker before a slash says less than the name itself.
        for part in reversed(name.lower().split("/")):
            for word in re.findall(r"[a-z]+\d?", part):
                found = _FAMILY.get(word) or _FAMILY.get(word.rstrip("0123456789"))
                if found:
                    return found
    return ""


def known_models() -> Mapping[str, ModelSpec]:
    """The models of `models.yaml`; none when it cannot be read, since a report needs it little."""
    try:
        return load_specs(get_settings().models_file).specs
    except ConfigError:
        return {}
