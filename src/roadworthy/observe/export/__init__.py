"""Traces, dashboards and rules for other tools."""
