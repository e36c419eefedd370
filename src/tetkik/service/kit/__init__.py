"""What every domain of the service stands on."""
