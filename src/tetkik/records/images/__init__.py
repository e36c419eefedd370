"""Images with their studies, the work that waits for a model, and what the models said."""
