"""What a person sees: the plan, the trials while they run, the result, and errors."""
