"""Nets as users write them in tutorials and bug reports: functions from an input shape to a model."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers, ops

CLASSES = 4


@dataclass(frozen=True)
class Net:
    """A net, and what its verbs need or refuse."""

    build: Callable[[], keras.Model]
    contract: dict[str, Any] = field(default_factory=dict)
    """What the model does not say itself."""
    task: str = "classification"
    no_integers: str | None = None
    """Type of a layer for which training for integers refuses it."""
    budget: str = "macs:0.9"


NETS: dict[str, Net] = {}


def net(**about: Any) -> Callable[[Callable[[], keras.Model]], Callable[[], keras.Model]]:
    def added(build: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
        NETS[build.__name__] = Net(build, **about)
        return build

    return added


@net()
def sequential_with_augmentation() -> keras.Model:
    """The image classification of Keras' tutorials: augmentation and scaling in the model, logits."""
    return keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
            layers.Rescaling(1.0 / 255),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(CLASSES, name="outputs"),
        ]
    )


@net(contract={"pixels": "0..1"})
def kaggle_cnn() -> keras.Model:
    """Images divided by 255 beforehand; `add`, BatchNorm and dropout in blocks."""
    model = keras.Sequential(name="cnn.v2-final")
    model.add(keras.Input(shape=(24, 24, 3)))
    for filters in (8, 16):
        model.add(layers.Conv2D(filters, (3, 3), activation="relu", kernel_initializer="he_uniform", padding="same"))
        model.add(layers.BatchNormalization())
        model.add(layers.Conv2D(filters, (3, 3), kernel_regularizer=keras.regularizers.l2(1e-4), padding="same"))
        model.add(layers.LeakyReLU(negative_slope=0.1))
        model.add(layers.MaxPool2D((2, 2)))
        model.add(layers.SpatialDropout2D(0.1))
    model.add(layers.Flatten())
    model.add(layers.Dense(CLASSES))
    model.add(layers.Activation("softmax"))
    return model


@net(contract={"pixels": (-1, 1)})
def teachable_machine() -> keras.Model:
    """Two Sequential models in a third: a backbone, and a head on its features."""
    image = keras.Input((24, 24, 3))
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(image)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)))
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(16, 1, use_bias=False)(x)))
    features = keras.Sequential([keras.Model(image, x), layers.GlobalAveragePooling2D()])
    head = keras.Sequential(
        [
            keras.Input((16,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(CLASSES, activation="softmax", use_bias=False),
        ]
    )
    return keras.Sequential([features, head])


@net(contract={"pixels": "0..255"})
def transfer_learning() -> keras.Model:
    """Keras' transfer learning: `preprocess_input` in the model, a nested backbone in inference mode, one logit."""
    mobile = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25)
    base = keras.Model(mobile.input, mobile.get_layer("conv_pw_2_relu").output, name="mobilenet")
    image = keras.Input((32, 32, 3))
    x = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.2)])(image)
    x = keras.applications.mobilenet.preprocess_input(x)
    x = layers.GlobalAveragePooling2D()(base(x, training=False))
    return keras.Model(image, layers.Dense(1)(layers.Dropout(0.2)(x)))


@net()
def residual_by_operators() -> keras.Model:
    """A residual net of operators: `x + shortcut`, `ops.relu`, `x / 255`."""
    image = keras.Input((24, 24, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image / 255.0)
    for filters in (8, 16):
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(ops.relu(y)))
        x = ops.relu(y + layers.Conv2D(filters, 1, strides=2)(x))
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(ops.mean(x, axis=(1, 2))))


class SubclassedNet(keras.Model):
    """Layers made in the constructor, called in `call`."""

    def __init__(self):
        super().__init__()
        self.scaling = layers.Rescaling(1 / 127.5, offset=-1)
        self.blocks = [layers.Conv2D(filters, 3, strides=2, activation="relu") for filters in (8, 16)]
        self.norm = layers.BatchNormalization()
        self.pool = layers.GlobalMaxPooling2D()
        self.dropout = layers.Dropout(0.3)
        self.classifier = layers.Dense(CLASSES, activation="softmax")

    def call(self, images, training=None):
        x = self.scaling(images)
        for block in self.blocks:
            x = block(x)
        x = self.pool(self.norm(x, training=training))
        return self.classifier(self.dropout(x, training=training))


@net(contract={"pixels": "0..255"})
def subclassed() -> keras.Model:
    model = SubclassedNet()
    model.build((None, 24, 24, 3))
    return model


@net()
def squeeze_excite() -> keras.Model:
    """Channel attention by Reshape and Multiply, with swish and hard_sigmoid."""
    image = keras.Input((24, 24, 3), name="input image")
    x = layers.Rescaling(1 / 255)(image)
    for filters in (8, 16):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.Activation("swish")(layers.BatchNormalization(scale=False)(x))
        gate = layers.Reshape((1, 1, filters))(layers.GlobalAveragePooling2D()(x))
        gate = layers.Dense(4, activation="relu")(gate)
        gate = layers.Dense(filters, activation="hard_sigmoid")(gate)
        x = layers.multiply([x, gate])
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return keras.Model(image, layers.Flatten()(layers.Conv2D(CLASSES, 1, activation="softmax")(x)))


@net(task="segmentation")
def unet_with_one_channel() -> keras.Model:
    """A U-Net of transposed convolutions and a sigmoid of one channel."""
    image = keras.Input((32, 32, 3))
    x, skips = layers.Rescaling(1 / 255)(image), []
    for filters in (8, 16):
        x = layers.Conv2D(filters, 3, activation="relu", padding="same", kernel_initializer="he_normal")(x)
        skips.append(x)
        x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Conv2D(16, 3, activation="relu", padding="same")(x)
    for skip in reversed(skips):
        x = layers.Conv2DTranspose(skip.shape[-1], (2, 2), strides=(2, 2), padding="same")(x)
        x = layers.concatenate([x, skip])
        x = layers.Conv2D(skip.shape[-1], 3, activation="relu", padding="same")(x)
    return keras.Model(image, layers.Conv2D(1, (1, 1), activation="sigmoid")(x))


@net(task="segmentation")
def decoder_of_upsampling() -> keras.Model:
    """An encoder and decoder with UpSampling2D and Resizing, and a softmax over the channels."""
    image = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.UpSampling2D(2, interpolation="bilinear")(x))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.Resizing(32, 32)(x))
    return keras.Model(image, layers.Softmax()(layers.Conv2D(2, 1)(x)))


@net(contract={"pixels": "0..1"})
def mlp_on_pixels() -> keras.Model:
    """The first MNIST tutorial, on images of one channel."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(48, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(24, activation="tanh"),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


@net(no_integers="gelu")
def convmixer() -> keras.Model:
    """Keras' ConvMixer: GELU before BatchNorm, depthwise convolutions with a residual."""
    image = keras.Input((24, 24, 3))
    x = layers.Rescaling(scale=1.0 / 255)(image)
    x = layers.BatchNormalization()(layers.Activation("gelu")(layers.Conv2D(12, kernel_size=2, strides=2)(x)))
    for _ in range(2):
        y = layers.DepthwiseConv2D(kernel_size=5, padding="same")(x)
        x = layers.Add()([layers.BatchNormalization()(layers.Activation("gelu")(y)), x])
        x = layers.BatchNormalization()(layers.Activation("gelu")(layers.Conv2D(12, kernel_size=1)(x)))
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(layers.GlobalAvgPool2D()(x)))


@net()
def small_xception() -> keras.Model:
    """Keras' image classification from scratch: separable convolutions, pooled residuals, `layers.add`."""
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(layers.Rescaling(1.0 / 255)(image))
    x = previous = layers.Activation("relu")(layers.BatchNormalization()(x))
    for size in (12, 16):
        for _ in range(2):
            x = layers.SeparableConv2D(size, 3, padding="same")(layers.Activation("relu")(x))
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = previous = layers.add([x, layers.Conv2D(size, 1, strides=2, padding="same")(previous)])
    x = layers.GlobalAveragePooling2D()(layers.Activation("relu")(x))
    return keras.Model(image, layers.Dense(CLASSES, activation=None)(layers.Dropout(0.25)(x)))


@net(no_integers="GroupNormalization")
def other_normalizations() -> keras.Model:
    """GroupNormalization, LayerNormalization, ELU and PReLU, behind a Normalization with given statistics."""
    image = keras.Input((24, 24, 3))
    x = layers.Normalization(mean=[123.7, 116.3, 103.5], variance=[3409.0, 3262.0, 3291.0])(image)
    x = layers.ELU()(layers.GroupNormalization(4)(layers.Conv2D(8, 3, padding="same")(x)))
    x = layers.PReLU(shared_axes=[1, 2])(layers.LayerNormalization()(layers.Conv2D(12, 3, strides=2)(x)))
    x = layers.AveragePooling2D(2)(layers.Conv2D(16, 3, activation="selu")(x))
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(layers.Flatten()(x)))


@net()
def inception_like() -> keras.Model:
    """Branches of different kernels, concatenated."""
    image = keras.Input((24, 24, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(layers.Rescaling(1 / 127.5, -1)(image))
    for _ in range(2):
        branches = [
            layers.Conv2D(4, 1, activation="relu")(x),
            layers.Conv2D(6, 3, padding="same", activation="relu")(layers.Conv2D(4, 1, activation="relu")(x)),
            layers.Conv2D(4, (1, 5), padding="same", activation="relu")(x),
            layers.Conv2D(4, 1, activation="relu")(layers.AveragePooling2D(3, strides=1, padding="same")(x)),
        ]
        x = layers.Concatenate(axis=-1)(branches)
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


@keras.saving.register_keras_serializable("acceptance")
class Patches(layers.Layer):
    """Patches of an image as rows."""

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, images):
        patches = ops.image.extract_patches(images, size=self.size)
        return ops.reshape(patches, (-1, patches.shape[1] * patches.shape[2], patches.shape[3]))

    def get_config(self):
        return super().get_config() | {"size": self.size}


@keras.saving.register_keras_serializable("acceptance")
class PatchEncoder(layers.Layer):
    """Projection of patches, and a learned position for each."""

    def __init__(self, count: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.count, self.width = count, width
        self.projection = layers.Dense(units=width)
        self.position_embedding = layers.Embedding(input_dim=count, output_dim=width)

    def build(self, input_shape):
        self.projection.build(input_shape)
        self.position_embedding.build(None)

    def call(self, patches):
        positions = ops.expand_dims(ops.arange(start=0, stop=self.count, step=1), axis=0)
        return self.projection(patches) + self.position_embedding(positions)

    def get_config(self):
        return super().get_config() | {"count": self.count, "width": self.width}


@net(contract={"pixels": "0..1"}, no_integers="ExtractPatches|LayerNormalization")
def vision_transformer() -> keras.Model:
    """Keras' ViT: custom layers for patches, MultiHeadAttention, LayerNormalization, GELU, logits."""
    image = keras.Input((24, 24, 3))
    x = PatchEncoder(16, 16)(Patches(6)(image))
    for _ in range(2):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([layers.MultiHeadAttention(num_heads=2, key_dim=8, dropout=0.1)(y, y), x])
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        y = layers.Dropout(0.1)(layers.Dense(32, activation=keras.activations.gelu)(y))
        x = layers.Add()([layers.Dense(16, activation=keras.activations.gelu)(y), x])
    x = layers.Flatten()(layers.LayerNormalization(epsilon=1e-6)(x))
    return keras.Model(image, layers.Dense(CLASSES)(layers.Dense(24, activation=keras.activations.gelu)(x)))


@keras.saving.register_keras_serializable("acceptance")
class Scale(layers.Layer):
    """A factor for each channel."""

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

    def call(self, inputs):
        return inputs * self.factor


@net(no_integers="Scale")
def custom_layer() -> keras.Model:
    image = keras.Input((24, 24, 3))
    x = Scale()(layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(image)))
    x = layers.Conv2D(16, 3, strides=2, activation="relu")(x)
    x = Scale()(layers.Conv2D(16, 3, strides=2, activation="relu")(x))
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


@net(task="regression")
def box_of_four_numbers() -> keras.Model:
    """The box of an object, as fractions of the image."""
    image = keras.Input((24, 24, 3))
    x = layers.Rescaling(1 / 255)(image)
    for filters in (8, 16):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 3, padding="same", activation="relu")(x))
    return keras.Model(image, layers.Dense(4, activation="sigmoid", name="bounding_box")(layers.Flatten()(x)))
