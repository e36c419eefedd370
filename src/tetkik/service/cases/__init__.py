"""Cases: open, correct, move to the right patient."""
