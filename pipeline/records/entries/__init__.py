"""What the records hold: trials, reports and decisions, each as its own dataclass."""
