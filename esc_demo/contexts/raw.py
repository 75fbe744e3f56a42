"""Raw: every utterance as it was said (the baseline of paper B)."""


def raw(text: str, keep_negation: bool = False) -> str:
    """Return `text` unchanged."""
    return text
