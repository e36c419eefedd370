"""Drafts of reports: the reading view, edits, measurements."""
