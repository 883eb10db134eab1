"""Auth's use cases: load, decide, save, one transaction each."""
