"""Rewrites of int8 TFLite graphs for NPUs: the same function in operators that they support."""
