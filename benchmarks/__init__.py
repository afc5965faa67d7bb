"""Measurements that back what the documents claim. Each module prints ours, theirs and the ratio."""
