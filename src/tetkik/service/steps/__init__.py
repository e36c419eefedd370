"""What the API and the pages do alike: the desk, an upload, the worklist, reading, documents, models."""
