"""What the registry knows of releases besides keeping them: names in time, rules, signatures, differences, garbage."""
