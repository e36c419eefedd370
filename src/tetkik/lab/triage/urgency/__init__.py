"""Training the model of urgency that stands beside the rules."""
