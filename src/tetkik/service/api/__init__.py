"""The API, `/api/v1`: each module has a `router`, and the application finds them all."""
