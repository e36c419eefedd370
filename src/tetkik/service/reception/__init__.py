"""The reception desk: triage of a complaint, and a new case."""
