"""Patients and their cases: from the complaint at the desk to what a case has."""
