"""Critical results: telling contacts, acknowledging, escalating."""
