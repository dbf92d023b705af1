"""Lets the tests import PyTorch first, wherever it is installed, on one thread."""

import os

from lipcast_studio.find_torch import find_torch

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that wait for each other cost most where other work runs
find_torch()
