"""Names of the files in a run's folder, for whoever reads a run without its model, and so without TensorFlow."""

CONFIG_NAME = "config.json"
DATA_NAME = "data_manifest.json"
METRICS_NAME = "metrics.jsonl"
SAMPLES_NAME = "samples.jsonl"
EVALUATION_NAME = "evaluation"
"""Holds one folder of results per scored split."""
