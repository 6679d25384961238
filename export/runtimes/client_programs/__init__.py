"""Programs of the environment of clients, in which this package is not installed.

Each imports nothing but its client and NumPy. It has `version` and `open_model`, which takes the path of a file and
settings and returns the function from tensors for one image by name to outputs by name. `driver.py` runs them.
"""
