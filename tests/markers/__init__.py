"""Marker models and marker avatars: what the engine did becomes readable from pixels."""
