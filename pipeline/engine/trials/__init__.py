"""Trials under Ray Tune: from a searcher's proposal to the ledger's record."""
