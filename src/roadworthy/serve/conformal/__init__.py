"""Prediction sets and intervals that hold the truth as often as promised."""
