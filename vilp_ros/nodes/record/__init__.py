"""Recording: how the recorder takes messages in, and `vilp record`, which commands it."""
