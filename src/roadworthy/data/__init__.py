"""Tables: reading, checking, describing."""
