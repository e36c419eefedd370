"""Keeping and giving back: backups, export and erasure of a patient, the end of retention."""
