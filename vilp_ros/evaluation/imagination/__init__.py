"""Whether what a policy imagines comes true: pictures, views, latents, and the gap to reality."""
