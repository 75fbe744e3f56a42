"""The first line of a file of replies: everything they depend on, and hashes over it.

`run_hash` covers all of it: two runs with one hash write the same file. `protocol_hash` covers
the section `protocol` alone, what a table must keep equal between its rows; `model` and
`condition` (context and prompt) are what its rows compare.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from esc_demo.contexts import ContextKind, ContextSpec
from esc_demo.contexts.keypos import TAGGER
from esc_demo.engine import mismatch
from finetune.data import DataSet, part_hash
from finetune.generate.models import Named
from finetune.generate.plan import Plan
from finetune.generate.store import KIND

FORMAT = 1


def header(named: Named, plan: Plan, data: DataSet) -> dict[str, Any]:
    """The header of a run over `data`, already cut to the dialogues in use.

    There is neither time nor place in it.
    """
    model, pane = named.model, plan.pane
    protocol = {
        "mode": plan.mode.value,
        "merged": True,
        "data_hash": part_hash(data.dialogues),
        "dialogues": len(data.dialogues),
        "items": len(plan.items),
        "params": asdict(plan.params),
        **plan.sampled,
    }
    body = {
        "protocol": protocol,
        "model": {
            **named.identity,
            "revision": model.revision,
            "context_length": model.spec.context_length,
            "template_hash": model.template_hash,
            "notice": model.notice,
        },
        "condition": {
            "context": _context(pane.context),
            "prompt": bool(pane.prompt.enabled),
            "prompt_hash": pane.prompt.content_hash,
            "profile": plan.profile,
            "unlike_training": list(mismatch(model.trained, pane)),
        },
        "data": {
            "name": data.name,
            "format": data.format.value,
            "file_sha256": data.source_sha256,
        },
        "versions": _versions(named.identity["kind"], pane.context.kind),
    }
    hashes = {"run_hash": _hash(body), "protocol_hash": _hash(protocol)}
    return {"kind": KIND, "format": FORMAT, **hashes, **body}


def _context(spec: ContextSpec) -> dict[str, Any]:
    """The representation, with its label for people."""
    return {"label": spec.label(), **asdict(spec)}


def _versions(kind: str, context: ContextKind) -> dict[str, str]:
    """The packages that have a say in the replies."""
    names = {"local": ("torch", "transformers", "tokenizers"), "endpoint": ("openai",)}.get(kind)
    wanted = [*(names or ()), *(("spacy",) if context is ContextKind.KEYPOS else ())]
    tagger = {"tagger": TAGGER} if context is ContextKind.KEYPOS else {}
    return {name: _version(name) for name in wanted} | tagger


def _version(name: str) -> str:
    """The installed version of a package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _hash(value: dict[str, Any]) -> str:
    """First 12 hex digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
