"""A report as a document: pure functions from values to bytes."""
