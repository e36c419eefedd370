"""Training of the network that the image gate asks."""
