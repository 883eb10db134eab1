"""Teeth, what is known of them, and how that is drawn."""
