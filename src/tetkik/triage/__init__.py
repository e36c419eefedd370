"""From a complaint in free Turkish text to a department, with its urgency."""
