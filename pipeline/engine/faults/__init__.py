"""Workers that hang, die or idle, and what a fault is blamed on."""
