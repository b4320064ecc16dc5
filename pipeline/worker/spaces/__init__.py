"""Search spaces: loaded, followed without training, and checked."""
