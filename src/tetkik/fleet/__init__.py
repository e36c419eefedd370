"""Workers: what reads the images that wait for a model, in this process or on other machines."""
