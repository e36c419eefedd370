"""Models: their cards, agreement, drift."""
