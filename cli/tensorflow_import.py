"""Importing TensorFlow without its log messages."""


def import_tensorflow() -> None:
    """Import TensorFlow and look for GPUs, silently unless `-v` is set, so that later imports print nothing."""
    from ..core.output_capture import is_verbose, suppress_output

    with suppress_output():
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")
    if not is_verbose():
        tf.get_logger().setLevel("ERROR")  # its Python warnings, such as those about retracing, are for developers
