"""What the report shows besides figures: tables, and what the results were made with."""
