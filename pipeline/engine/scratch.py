"""Temporary folders, which the engine and the records make alike: see `records.scratch`."""

from pipeline.records.scratch import new_folder as new_folder
