"""The SQL of appointment."""
