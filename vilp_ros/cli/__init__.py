"""The command line: one verb per file, and nothing heavy imported before a verb runs."""
