"""The SQL of treatment."""
