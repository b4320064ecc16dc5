"""Schedulers: they decide which trials go on, and which wait or stop.

No Ray and no Keras in here. A scheduler is a class made from `scheduler.Scheduler`, in a file of
its own, and a line in `SCHEDULERS`. The table holds text: reading it imports nothing.
"""

SCHEDULERS: dict[str, str] = {
    "asha": "pipeline.schedulers.asha:PromotingHalving",
    "asha-stopping": "pipeline.engine.schedulers.rays:StoppingHalving",
    "hyperband": "pipeline.schedulers.hyperband:Hyperband",
    "pbt": "pipeline.schedulers.pbt:PopulationBased",
    "median": "pipeline.engine.schedulers.rays:MedianStopping",
    "none": "pipeline.schedulers.none:EveryEpoch",
}
