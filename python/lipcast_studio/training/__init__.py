"""Training an avatar's two networks: the audio encoder with its branch, and the net that draws the mouth.

`lipcast avatar create` and the demo avatar use the same code; they differ in where speech and pictures come from.
"""
