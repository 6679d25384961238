"""Weight clustering: kernels with few distinct weights."""
