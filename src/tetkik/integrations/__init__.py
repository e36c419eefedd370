"""The hospital's systems: orders and studies come in, results go out, by DICOM, HL7 and FHIR."""
