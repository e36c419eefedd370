"""HL7 v2 over MLLP: patients, encounters and orders come in, reports go out (versions 2.3.1 and 2.5.1)."""
