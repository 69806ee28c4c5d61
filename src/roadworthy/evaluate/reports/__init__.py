"""What was found, as structs: the report of one model, several side by side, one against another."""
