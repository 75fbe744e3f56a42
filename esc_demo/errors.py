"""Errors a person can act on: each says what happened, which value, and what to do next.

Every error shown to a user derives from `EscError`; each child is also the standard
type a caller would expect. Anything else that is raised is a bug and is logged whole.
"""


class EscError(Exception):
    """Root of all errors whose text may be shown to a user as it stands."""


class BadInput(EscError, ValueError):
    """Something a person typed or posted cannot be used."""


class ConfigError(EscError, ValueError):
    """A configuration file or setting is wrong."""


class AssetError(EscError, FileNotFoundError):
    """Weights or language data are missing, damaged or cannot be fetched."""


class ModelError(EscError, RuntimeError):
    """A model cannot be loaded or cannot answer."""


class StorageError(EscError, OSError):
    """The database or a cache folder cannot be read or written."""
