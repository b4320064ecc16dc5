"""Pictures in folders and lists: found, decoded once, and kept as one array."""
