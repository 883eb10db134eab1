"""The use cases of xray."""
