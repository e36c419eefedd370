"""Patients and their cases: from the complaint at reception on."""
