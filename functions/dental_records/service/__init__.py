"""The use cases of dental_records."""
