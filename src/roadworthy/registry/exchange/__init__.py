"""Releases from and to others: MLflow, model cards, data cards."""
