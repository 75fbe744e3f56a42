"""Studies: the same replies under every combination of model, prompt and context, and a page."""
