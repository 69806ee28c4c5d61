"""Servers elsewhere as Handlers: Open Inference V2, OpenAI-compatible ones, and plain JSON over HTTP."""
