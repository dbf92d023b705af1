"""The networks people bring, defined here from their layer lists; keys as in the published checkpoints.

golden.json: per network every state-dict key with its shape, and 500 output values for weights that
test_networks.py makes again, so that a definition is proved without a real checkpoint.
"""

from __future__ import annotations

from ..find_torch import find_torch

find_torch()
