"""Pure decisions: observations in, findings out. No clock, no I/O, no logging, nothing of ours imported."""
