"""Sweeps.

Several experiments out of one file, carried out in sittings and compared with the one before.
"""
