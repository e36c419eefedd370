"""What every subject of the service stands on."""
