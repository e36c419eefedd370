"""Backups, export and erasure of a patient, retention, rotation of the master key."""
