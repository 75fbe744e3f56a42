"""What an adapter or a full fine-tune says of its training, held against what is here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from esc_demo.models.protocol import TrainedOn

RECORD_FILE = "metrics.json"
"""Written by training into every artefact."""


@dataclass(frozen=True)
class TrainingRecord:
    """How an artefact was trained; `same_base` is None where it does not say on what."""

    same_base: bool | None
    trained: TrainedOn | None

    def notice(self, template: str) -> str:
        """What a reader should know before comparing; empty when all agrees.

        `template` is the fingerprint of the chat template and vocabulary in use here.
        """
        notes: list[str] = []
        if self.same_base is None:
            notes.append("This artefact does not say which base weights it was trained on.")
        elif not self.same_base:
            notes.append(
                "Trained on another copy of the base weights (the hub's and the packaged differ"
                " by their quantisation), so replies may differ slightly from those measured."
            )
        if self.trained is None:
            notes.append("It does not say with which prompt and context it was trained.")
        elif self.trained.template != template:
            notes.append(
                "Trained with another chat template or vocabulary than the tokenizer here"
                f" ({self.trained.template}, here {template}): its replies are not comparable."
                " Restore the tokenizer it was trained with, or train anew."
            )
        return " ".join(notes)


def read_record(artefact: Path, base_sha256: str) -> TrainingRecord:
    """The record in the folder `artefact`, compared with the base weights of this machine."""
    try:
        found = json.loads((artefact / RECORD_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return TrainingRecord(None, None)
    if not isinstance(found, dict):
        return TrainingRecord(None, None)
    said = found.get("base_sha256")
    parts = [found.get(key) for key in ("prompt_hash", "context", "template_fingerprint")]
    trained = None
    if all(isinstance(part, str) for part in parts):
        trained = TrainedOn(*map(str, parts), system_role=found.get("system_role") is not False)
    return TrainingRecord(None if said is None else said == base_sha256, trained)
