"""Forms of int8 TFLite files for the runtimes of small devices: the same function, in operators that they take."""
