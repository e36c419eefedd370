"""Training of networks that see findings: from labelled images to a bundle."""
