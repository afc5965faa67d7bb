"""Chrysalis: phased production rollouts on Prefect. What the flows and tasks stand on."""
