"""What the product does for people in danger; for now, where they find help."""

from esc_demo.safety.resources import CrisisResources, Region, Resource, load_resources

__all__ = ["CrisisResources", "Region", "Resource", "load_resources"]
