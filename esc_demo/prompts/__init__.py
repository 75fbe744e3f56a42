"""The structured prompt: role, objective, user profile and guidelines (paper A, section 3)."""

from esc_demo.prompts.template import Part, PromptTemplate, build_messages

__all__ = ["Part", "PromptTemplate", "build_messages"]
