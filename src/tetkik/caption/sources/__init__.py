"""Where captioned images come from: each reader gives rows of one kind."""
