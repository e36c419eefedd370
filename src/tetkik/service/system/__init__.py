"""Health, metrics, settings."""
