"""The use cases of appointment."""
