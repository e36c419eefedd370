"""Images: upload, archives, pixels, runs of the models."""
