"""The state directory: metadata, record log and blobs."""
