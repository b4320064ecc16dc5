"""Which packages a wheel holds; all else about it stands in pyproject.toml.

`datasets` and `search_spaces` lie in it within `pipeline`: as packages of their own they would take
the place of others of these names.
"""

from setuptools import find_packages, setup

WITHIN = {"pipeline.datasets": "datasets", "pipeline.search_spaces": "search_spaces"}

setup(packages=[*find_packages(include=["pipeline*"]), *WITHIN], package_dir=WITHIN)
