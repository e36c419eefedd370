"""The pages: each module has a `router`, and the application finds them all."""
