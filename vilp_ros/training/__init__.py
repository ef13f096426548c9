"""One readable loop, one objective per learned part, one recipe per bundle."""
