"""The page with images and captions that a person reads."""
