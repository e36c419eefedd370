"""Fine-tuning of a transformer for triage, and its export."""
