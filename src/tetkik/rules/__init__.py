"""What decides about a report, from values alone: no transaction and no database."""
