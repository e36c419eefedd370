"""The hospital's systems: studies and orders come in by DICOM and HL7, results go out by DICOM, HL7 and FHIR."""
