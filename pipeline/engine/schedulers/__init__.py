"""Which trials go on, and which wait or stop.

The table holds text: reading it imports nothing.
"""

SCHEDULERS: dict[str, str] = {
    "asha": "pipeline.engine.schedulers.asha:Promoting",
    "asha-stopping": "ray.tune.schedulers.async_hyperband:AsyncHyperBandScheduler",
    "hyperband": "pipeline.engine.schedulers.hyperband:WholeBrackets",
    "pbt": "pipeline.engine.schedulers.pbt:PopulationBased",
    "median": "ray.tune.schedulers.median_stopping_rule:MedianStoppingRule",
    "none": "ray.tune.schedulers.trial_scheduler:FIFOScheduler",
}
