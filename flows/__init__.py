"""The order of things: a rollout, its phases, its way back, and the watch. No classes, no decisions, no effects."""
