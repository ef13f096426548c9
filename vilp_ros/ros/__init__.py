"""What nodes are made of: messages, images, parameters, lifecycle, processes, and their table."""
