"""The SQL of xray."""
