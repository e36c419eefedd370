"""Records of patients: compare, link, export, erase."""
