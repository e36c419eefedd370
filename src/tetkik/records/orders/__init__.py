"""What the hospital's system asked for: orders, open encounters, and which study answers which order."""
