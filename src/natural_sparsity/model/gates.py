"""The gates of an LSTM and the states they can have; kept apart so that figures need not import torch."""

GATES = ("i", "f", "g", "o")
# A gate belongs to a removed neuron, is constant, or depends on what it reads.
REMOVED, CONSTANT, READING = 0, 1, 2
