"""`vilp demo`: starts the graph, watches it and writes down what happened."""
