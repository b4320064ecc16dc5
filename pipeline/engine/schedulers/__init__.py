"""Ray's own schedulers, as ours."""
