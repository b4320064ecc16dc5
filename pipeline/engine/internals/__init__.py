"""Every private name of Ray, each behind a function of ours.

With another Ray, `tests/engine/internals/test_names.py` says which names are gone, and
`test_ray_errors.py` which errors are new.
"""
