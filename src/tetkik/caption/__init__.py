"""A radiology image gets a caption in words; and the training, evaluation and planning behind it."""
