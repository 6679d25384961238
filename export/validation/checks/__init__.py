"""What an artifact is put to: runtimes, compilers, lists of operators. Each is a function from `Subject` to `Check`."""
