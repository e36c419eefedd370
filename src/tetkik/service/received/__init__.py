"""Studies that other systems sent and that wait for a person to say whose they are."""
