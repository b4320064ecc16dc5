"""Which trials go on, and which wait or stop."""
