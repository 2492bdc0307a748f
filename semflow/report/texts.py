"""What the page says in words, beside what follows from its numbers."""

from __future__ import annotations

FLOW = (
    "One velocity field carries an image's latents to those of its label map along a nearly "
    "straight path. Followed forward from an image it segments; followed backward from a label "
    "map, to which noise is added, it synthesizes an image that fits."
)

ABOUT = {
    "earth": (
        "Satellite imagery of the Earth, labelled with land cover. Training and validation tiles "
        "come from different blocks of longitude with a gap between them, so that no validation "
        "tile shows ground that was trained on."
    ),
}

CREDITS = {
    "earth": (
        ("Imagery", "NASA Earth Observatory, Blue Marble Next Generation"),
        ("Labels", "NASA/JPL MODIS MCD12C1 2019"),
    ),
}

SOLVERS = {"euler": "Euler", "heun": "Heun", "midpoint": "midpoint rule"}

BASELINES = {
    "unet": (
        "U-Net",
        "Discriminative: trained to classify pixels on as many samples as SemFlow; its shape is "
        "SemFlow's own unless baseline.network says otherwise",
    ),
    "color_classifier": (
        "Colour classifier",
        "One Gaussian over colours for each class, pixel by pixel",
    ),
}

ORACLE = "The true label maps, encoded and decoded: the ceiling that autoencoder and palette allow"

MIOU = (
    "mIoU is the mean, over the classes that occur or are predicted, of intersection over union, "
    "each from one count of pixels over all tested images."
)

# Metric, what it is, what it is not.
SYNTHESIS_METRICS = (
    (
        "FD-MobileNetV2",
        "Fréchet distance between the syntheses and other real images, each set seen as a Gaussian "
        "over 1,280 features of an ImageNet MobileNetV2 at 128 \N{MULTIPLICATION SIGN} 128 pixels "
        "(bilinear, antialiased). Lower is better. It is biased upward on few images, and so is "
        "its floor.",
        "Not FID, which uses the features of Inception v3: the two have different scales.",
    ),
    (
        "KD-MobileNetV2",
        "Kernel distance (squared MMD, cubic kernel) between the same two sets of features. Lower "
        "is better. It is unbiased, so that a value near zero may be negative.",
        "Not KID, which uses the features of Inception v3.",
    ),
    (
        "ST-LPIPS to truth",
        "Perceptual distance that tolerates small shifts, from each synthesis to the image that "
        "its label belongs to, averaged. Lower is closer.",
        "Not LPIPS, whose network and scale differ. Not a measure of realism: another image that "
        "fits the label just as well also counts as far.",
    ),
    (
        "Round-trip mIoU",
        "Each synthesis is segmented again and compared with the label it was made from: by the "
        "U-Net, which shares only the autoencoder with the flow, and by SemFlow itself. Higher is "
        "better.",
        "Not a measure of realism: an image that is easy to segment may score above real ones. "
        "By SemFlow it is a check of consistency, since the model judges its own work.",
    ),
    (
        "Diversity",
        "ST-LPIPS between syntheses of one label that differ only in their seed, averaged. Zero "
        "would mean that the seed changes nothing.",
        "Not a quality: noise is diverse too.",
    ),
)
