"""The Ray cluster: started or joined, its nodes checked, its capacity counted."""
