"""Experiments, one module each: values only."""
