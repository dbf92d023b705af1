"""Lets the tests import PyTorch first, wherever it is installed."""

from lipcast_studio.find_torch import find_torch

find_torch()
