"""A run in an object store: worked on in a folder of this machine, and mirrored."""
