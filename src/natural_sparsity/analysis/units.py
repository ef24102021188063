"""What units carry, and what pruned models keep of them: the names that table and figure share."""

# What a unit carries: its part in the mean of χ², and its mean magnitude.
QUANTITIES = {"part": "part in χ²", "size": "mean magnitude"}
# What a pruned model keeps of a unit.
SIDES = {
    "incoming": "incoming weights",
    "outgoing": "outgoing weights",
    "gates": "gates that read",
    "neuron": "left, or removed",
}
