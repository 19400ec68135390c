"""Photographs and captions to shards."""
