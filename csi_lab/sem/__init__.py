"""Structural equation models: partial least squares path models."""
