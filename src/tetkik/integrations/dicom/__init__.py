"""DICOM with other systems: images that come in, results that go out."""
