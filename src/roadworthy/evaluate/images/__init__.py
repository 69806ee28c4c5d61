"""The arithmetic behind spoilt images, in numpy alone."""
