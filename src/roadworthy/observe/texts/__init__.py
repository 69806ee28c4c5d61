"""The health of texts that go in and come out."""
