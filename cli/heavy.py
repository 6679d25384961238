"""Importing TensorFlow without its chatter."""


def import_tensorflow() -> None:
    """Imports TensorFlow and looks for GPUs, quietly unless `-v`; what follows finds both done."""
    from ..core.output_capture import is_verbose, suppress_output

    with suppress_output():
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")
    if not is_verbose():
        tf.get_logger().setLevel("ERROR")  # its Python warnings, such as those of retracing, are for developers
