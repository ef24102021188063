"""The gates of an LSTM and what one of a sparsified one is; apart, since figures need no torch for it."""

GATES = ("i", "f", "g", "o")
# Of a removed neuron, constant, or a function of what it reads.
REMOVED, CONSTANT, READING = 0, 1, 2
