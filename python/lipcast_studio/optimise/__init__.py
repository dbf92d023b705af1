"""Making an avatar's networks faster without changing what they draw."""
