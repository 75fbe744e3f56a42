"""The conversation and the page: contexts, prompts, models, engine, safety and user interface."""

__version__ = "0.1.0"
