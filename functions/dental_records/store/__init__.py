"""The SQL of dental_records, and the facts of its streams."""
