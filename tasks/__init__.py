"""One Prefect task per kind of step, one effect each, every one safe to repeat."""
