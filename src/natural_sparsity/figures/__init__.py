"""The figures: each from a table to PDF, PNG and the CSV of what was drawn."""
