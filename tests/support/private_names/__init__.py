"""Checks that private names of other packages do what pocketzoo needs, one module for each package."""
