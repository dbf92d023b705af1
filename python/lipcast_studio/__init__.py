"""Tools around lipcast avatars: making, importing, training, checking."""

import os

# Before ONNX Runtime is loaded: builds of its makers since 1.29 tell them what is run, as ort_session.cc says.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
