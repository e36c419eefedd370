"""Collecting, cleaning, training and evaluation for triage."""
