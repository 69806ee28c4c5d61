"""Tokenizers and streams: what they do to odd text."""
