"""A file becomes an image: DICOM and raster reading, routing and quality gate, de-identification."""
