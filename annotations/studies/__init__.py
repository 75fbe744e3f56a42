"""Blinded human studies: their definition, their design, and the desk that runs them."""

from annotations.studies.build import BuiltStudy, build, differing
from annotations.studies.definition import StudyDefinition, load_definition
from annotations.studies.items import items_from_runs, items_text, read_items
from annotations.studies.values import (
    AssignmentKind,
    AssignmentStatus,
    Flag,
    Item,
    ItemView,
    Screen,
    Stage,
    StudyDimension,
    StudyMode,
    StudyStatus,
    StudyView,
    Task,
    Verdict,
)

__all__ = [
    "AssignmentKind",
    "AssignmentStatus",
    "BuiltStudy",
    "Flag",
    "Item",
    "ItemView",
    "Screen",
    "Stage",
    "StudyDefinition",
    "StudyDimension",
    "StudyMode",
    "StudyStatus",
    "StudyView",
    "Task",
    "Verdict",
    "build",
    "differing",
    "items_from_runs",
    "items_text",
    "load_definition",
    "read_items",
]
