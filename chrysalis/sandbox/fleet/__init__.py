"""Instances with layers that agree with each other, and the control that operates them: real processes, as TRIAD runs."""
