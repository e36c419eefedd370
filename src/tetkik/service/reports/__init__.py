"""Signed reports: read, sign, amend, withdraw, download; text templates."""
