"""The Python API, for notebooks: opening results, measuring vectors and models, drawing figures."""
