"""Tasks other than language modelling, each with its data, its loss and its error."""
