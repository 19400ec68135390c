"""Image-caption training, captioning and scoring on sharded data."""

__version__ = "0.1.0"
