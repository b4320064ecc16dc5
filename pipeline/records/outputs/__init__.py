"""What the end of a run hands back: tables, the summary, and what reads them."""
