"""What the report shows apart from figures and tables: how the results were made."""
