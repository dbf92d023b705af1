"""The demo avatar: its speech, pictures, models and package, made from nothing but this folder's scripts."""
