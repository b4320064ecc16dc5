"""Every private name of Ray, each behind a function of ours."""
