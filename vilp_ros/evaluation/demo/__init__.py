"""What is kept and shown of a demo: its files, its figures, film, strip and viewer."""
