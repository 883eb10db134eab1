"""Auth's SQL: plain functions of ``tx`` (or of the database, for single reads)."""
