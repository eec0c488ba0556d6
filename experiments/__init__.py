"""Experiments on the simulated market: what samples, weights and intervals do where the truth is known.

``python -m experiments`` writes the tables and figures of ``docs/sampling.md``.
"""
