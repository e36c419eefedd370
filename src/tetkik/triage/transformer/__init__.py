"""The transformer kind of triage model: a fine-tuned encoder, trained with torch and run without it."""
