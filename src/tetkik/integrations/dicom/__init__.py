"""DICOM with other systems: images and queries come in, results and requests go out (PS3.4)."""
