"""The use cases of treatment."""
