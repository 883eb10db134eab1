"""The rules of treatment plans and prescriptions. Pure."""
