"""Engineered sparsity: methods that remove, constrain or replace weights, each a module of its own."""
