"""Training of the linear triage model."""
