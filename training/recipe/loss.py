"""The section `loss` of a recipe: one loss, or a list of losses to be added."""

from typing import Annotated, Literal, Self

from pydantic import Field, Tag, model_validator

from .section import NAMED, ONE_OR_SEVERAL, NonNegative, Positive, Section, Share

Smoothing = Annotated[Share, Field(description="Share of the target that is distributed evenly over all classes.")]


class _Loss(Section):
    name: str
    weight: Positive = 1.0
    """Coefficient in a sum of losses."""


class CrossEntropy(_Loss):
    """Categorical cross-entropy, per image or per pixel."""

    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Smoothing = 0.0


class BinaryCrossEntropy(_Loss):
    """Binary cross-entropy of each label."""

    name: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    label_smoothing: Smoothing = 0.0


class Focal(_Loss):
    """Focal loss of classes, or of each label (Lin et al., arXiv:1708.02002)."""

    name: Literal["focal"] = "focal"
    gamma: NonNegative = 2.0
    label_smoothing: Smoothing = 0.0


class Hinge(_Loss):
    """Hinge loss: margin between the correct class and the best other class, or of each label."""

    name: Literal["hinge"] = "hinge"


class MSE(_Loss):
    """Mean squared error."""

    name: Literal["mse"] = "mse"


class MAE(_Loss):
    """Mean absolute error."""

    name: Literal["mae"] = "mae"


class Huber(_Loss):
    """Huber loss: squared error up to `delta`, absolute error beyond."""

    name: Literal["huber"] = "huber"
    delta: Positive = 1.0


class Charbonnier(_Loss):
    """sqrt(error**2 + epsilon**2): absolute error, but smooth at 0; epsilon is a share of the range of the values (Lai
    et al., arXiv:1710.01992)."""

    name: Literal["charbonnier"] = "charbonnier"
    epsilon: Positive = 1e-3


class SSIM(_Loss):
    """1 - structural similarity of pictures, in Gaussian windows of 11x11 pixels (Wang et al.,
    doi.org/10.1109/TIP.2003.819861)."""

    name: Literal["ssim"] = "ssim"


class KeypointDistance(_Loss):
    """Absolute errors of x and y of the visible points, as shares of the image, plus the binary cross-entropy of
    visibility times `visibility_weight`."""

    name: Literal["keypoint_distance"] = "keypoint_distance"
    visibility_weight: NonNegative = 0.05


class CTC(_Loss):
    """Connectionist temporal classification, in nats for each image (Graves et al., ICML 2006)."""

    name: Literal["ctc"] = "ctc"


class ScoresAndBoxes(_Loss):
    """Loss of detections: a focal loss of the scores, and a loss of the boxes.

    Scores have Gaussians around the middle of each object as targets (Zhou et al., arXiv:1904.07850; as wide and high
    as the object, arXiv:1909.00700), boxes are compared wherever these are above 0, with them as weights.
    """

    name: Literal["scores_and_boxes"] = "scores_and_boxes"
    boxes: Literal["giou", "ciou", "l1"] = "giou"
    """`giou` (arXiv:1902.09630), `ciou` (arXiv:1911.08287), or `l1`, the mean distance of the edges as a share of the
    image."""
    box_weight: Positive = 2.0
    """Coefficient of the loss of the boxes."""
    gamma: NonNegative = 2.0
    """Exponent of the focal loss."""


class Density(_Loss):
    """Loss of counting: squared errors of the density, plus absolute errors of the counts times `count_weight`.

    The density of an object is a Gaussian whose sum is 1 (Lempitsky, Zisserman: Learning to count objects in images,
    NIPS 2010). Squared errors are divided by its highest value and summed over the map, so that an object that is
    missed costs a half, however wide it is.
    """

    name: Literal["density"] = "density"
    spread: Positive = 1.0
    """Standard deviation of the Gaussian, in positions of the map; more for a map as fine as the image."""
    count_weight: NonNegative = 0.5


class Dice(_Loss):
    """1 - Dice coefficient, mean over the classes or labels (arXiv:1606.04797)."""

    name: Literal["dice"] = "dice"


class Tversky(_Loss):
    """Tversky loss: Dice with weight `alpha` for false positives and `beta` for false negatives (arXiv:1706.05721)."""

    name: Literal["tversky"] = "tversky"
    alpha: NonNegative = 0.3
    beta: NonNegative = 0.7

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if self.alpha == self.beta == 0:
            raise ValueError("alpha and beta are both 0; one of them must be greater")
        return self


class Triplet(_Loss):
    """Triplet loss of embeddings: images of other classes farther away than those of the same, by `margin`."""

    name: Literal["triplet"] = "triplet"
    margin: Positive = 0.2
    """In Euclidean distance between unit vectors, 0..2."""
    mining: Literal["semi_hard", "hard"] = "semi_hard"
    """`semi_hard`: for each pair of one class, the nearest of the images of other classes that are farther apart
    (arXiv:1503.03832). `hard`: for each image, the farthest of its class and the nearest of the others
    (arXiv:1703.07737)."""


class Contrastive(_Loss):
    """Contrastive loss of embeddings: images of a class together, those of others `margin` apart (Hadsell 2006)."""

    name: Literal["contrastive"] = "contrastive"
    margin: Positive = 1.0
    """In Euclidean distance between unit vectors, 0..2."""


class ArcFace(_Loss):
    """ArcFace: embeddings are classified by their angle to a center of each class (arXiv:1801.07698)."""

    name: Literal["arcface"] = "arcface"
    margin: Annotated[float, Field(ge=0, lt=1.5)] = 0.5
    """Added to the angle between an image and the center of its class, in radians."""
    scale: Positive = 30.0
    """Factor of the cosines in the softmax."""


Loss = Annotated[
    CrossEntropy
    | BinaryCrossEntropy
    | Focal
    | Hinge
    | MSE
    | MAE
    | Huber
    | Charbonnier
    | SSIM
    | KeypointDistance
    | CTC
    | ScoresAndBoxes
    | Density
    | Dice
    | Tversky
    | Triplet
    | Contrastive
    | ArcFace,
    Field(discriminator="name"),
    NAMED,
]
Losses = Annotated[
    Annotated[Loss, Tag("one")] | Annotated[tuple[Loss, ...], Field(min_length=1), Tag("several")], ONE_OR_SEVERAL
]
