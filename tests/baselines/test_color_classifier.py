from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import TinyDataset, shard_folder
from torch.distributions import MultivariateNormal

from semflow.baselines.color_classifier import (
    ColorClassifier,
    choose_color_classifier,
    fit_color_classifiers,
    load_color_classifier,
    save_color_classifier,
)
from semflow.metrics.confusion import ConfusionMatrix
from semflow.shards.manifest import Manifest, read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_bytes, png_pixels

NAMES = ["sea", "wood", "sand", "nowhere"]
MEANS = np.array([[30, 60, 160], [40, 140, 40], [220, 200, 120]], np.float64)
SPREADS = np.array([12.0, 8.0, 15.0])
PRIORS = np.array([0.5, 0.3, 0.2])


def shards_of(folder: Path, images: np.ndarray, labels: np.ndarray) -> Manifest:
    """Pixel shards of given images (N, H, W, 3) and labels (N, H, W)."""
    folder.mkdir(exist_ok=True)
    records = [
        (f"sample_{i}", {"image.png": png_bytes(images[i]), "label.png": png_bytes(labels[i])})
        for i in range(len(images))
    ]
    classes = {
        "names": NAMES,
        "colors": [[0, 0, 0]] * len(NAMES),
        "mirrored": list(range(len(NAMES))),
        "background": None,
    }
    return shard_folder(records, folder, 3, {"classes": classes})


def plain_classifier(manifest: Manifest) -> ColorClassifier:
    """Of colours as they are."""
    return fit_color_classifiers(manifest, [0.0])[0]


@pytest.fixture
def gaussians(tmp_path: Path) -> tuple[Manifest, np.ndarray, np.ndarray]:
    """Pixels of three well-separated Gaussians; a tenth of them without a class."""
    draws = np.random.default_rng(0)
    labels = draws.choice(3, (8, 24, 24), p=PRIORS).astype(np.uint8)
    images = MEANS[labels] + SPREADS[labels][..., None] * draws.standard_normal((8, 24, 24, 3))
    images = images.clip(0, 255).astype(np.uint8)
    labels[draws.random(labels.shape) < 0.1] = 255
    return shards_of(tmp_path, images, labels), images, labels


def test_well_separated_gaussians_are_told_apart(
    gaussians: tuple[Manifest, np.ndarray, np.ndarray],
) -> None:
    manifest, images, labels = gaussians
    classifier = plain_classifier(manifest)
    np.testing.assert_allclose(classifier.mean[:3], MEANS, atol=2)
    found = classifier.score_batch(torch.from_numpy(images)).argmax(dim=1).numpy()
    counted = labels != 255
    assert (found == labels)[counted].mean() > 0.999


def test_moments_and_priors_are_those_of_the_labelled_pixels(
    gaussians: tuple[Manifest, np.ndarray, np.ndarray],
) -> None:
    manifest, images, labels = gaussians
    classifier = plain_classifier(manifest)
    for class_id in range(3):
        colors = images[labels == class_id].astype(np.float64)
        covariance = np.cov(colors.T, bias=True) + np.eye(3)
        prior = len(colors) / (labels != 255).sum()
        np.testing.assert_allclose(classifier.mean[class_id], colors.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(
            classifier.precision[class_id], np.linalg.inv(covariance), rtol=1e-3, atol=1e-7
        )
        expected = np.log(prior) - np.log(np.linalg.det(covariance)) / 2
        assert float(classifier.bias[class_id]) == pytest.approx(expected, rel=1e-4)


def test_its_choice_is_the_likeliest_of_torchs_own_gaussians(
    gaussians: tuple[Manifest, np.ndarray, np.ndarray],
) -> None:
    manifest, _, labels = gaussians
    classifier = plain_classifier(manifest)
    pixels = torch.randint(0, 256, (2, 20, 20, 3), generator=torch.Generator().manual_seed(0))
    scores = []
    for class_id in range(3):
        gaussian = MultivariateNormal(
            classifier.mean[class_id].double(),
            precision_matrix=classifier.precision[class_id].double(),
        )
        prior = (labels == class_id).sum() / (labels != 255).sum()
        scores.append(gaussian.log_prob(pixels.double()) + np.log(prior))
    best = torch.stack(scores).sort(dim=0, descending=True).values
    clear = best[0] - best[1] > 0.01
    found = classifier.score_batch(pixels.to(torch.uint8)).argmax(dim=1)
    assert clear.float().mean() > 0.95
    assert torch.equal(found[clear].long(), torch.stack(scores).argmax(dim=0)[clear])


def test_a_class_without_pixels_is_never_chosen(
    gaussians: tuple[Manifest, np.ndarray, np.ndarray],
) -> None:
    classifier = plain_classifier(gaussians[0])
    assert classifier.bias[3] < -1e29
    assert classifier.bias.isfinite().all()
    # Black is where the mean of nothing lies.
    assert int(classifier.score_batch(torch.zeros(1, 1, 1, 3, dtype=torch.uint8)).argmax()) != 3


def test_a_class_of_one_single_colour_can_still_be_fitted(tmp_path: Path) -> None:
    labels = np.repeat(np.array([[[0, 1]]], np.uint8), 4, axis=1)
    images = np.where(labels[..., None] == 0, 10, 200).repeat(3, axis=-1).astype(np.uint8)
    classifier = plain_classifier(shards_of(tmp_path, images, labels))
    # No variance but the added grey level squared.
    np.testing.assert_allclose(classifier.precision[0], np.eye(3), atol=1e-5)
    assert np.array_equal(
        classifier.score_batch(torch.from_numpy(images)).argmax(dim=1).numpy(), labels
    )


@given(st.integers(0, 2**31), st.integers(1, 4))
def test_pixels_are_classified_one_by_one(seed: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(classes, 3, 3, generator=generator) / 20
    classifier = ColorClassifier(
        torch.rand(classes, 3, generator=generator) * 255,
        root @ root.mT,
        torch.randn(classes, generator=generator),
        blur=0.0,
        color=torch.zeros(classes, 3),
    )
    pixels = torch.randint(0, 256, (2, 3, 4, 3), generator=generator).to(torch.uint8)
    whole = classifier.score_batch(pixels)
    assert whole.shape == (2, classes, 3, 4)
    torch.testing.assert_close(classifier.score_batch(pixels[1:, :, 2:]), whole[1:, :, :, 2:])


def test_a_saved_classifier_comes_back(
    gaussians: tuple[Manifest, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    [classifier] = fit_color_classifiers(gaussians[0], [0.7])
    save_color_classifier(classifier, tmp_path / "classifier.safetensors")
    again = load_color_classifier(tmp_path / "classifier.safetensors")
    for name in ("mean", "precision", "bias", "color"):
        assert torch.equal(getattr(again, name), getattr(classifier, name))
    assert again.blur == 0.7


def test_on_the_tiny_data_set_it_beats_the_commonest_class(dataset: TinyDataset) -> None:
    manifest = read_manifest(dataset.shards / "train")
    classifier, folder = plain_classifier(manifest), ShardFolder(manifest)
    images, labels = (
        np.stack([png_pixels(folder.read(i, name)) for i in range(len(folder))])
        for name in ("image.png", "label.png")
    )
    counted = labels != 255
    right = (classifier.score_batch(torch.from_numpy(images)).argmax(dim=1).numpy() == labels)[
        counted
    ].mean()
    assert right > 0.9 > np.bincount(labels[counted]).max() / counted.sum()


def speckled(folder: Path, seed: int, cell: int) -> Manifest:
    """Two grey classes in square cells, twenty levels apart under noise of forty levels."""
    draws = np.random.default_rng(seed)
    cells = draws.integers(0, 2, (12, 24 // cell, 24 // cell))
    labels = np.kron(cells, np.ones((1, cell, cell), np.uint8)).astype(np.uint8)
    images = 110 + 20 * labels[..., None] + 40 * draws.standard_normal((*labels.shape, 3))
    return shards_of(folder, images.clip(0, 255).astype(np.uint8), labels)


def test_the_blur_that_does_best_on_val_is_kept(tmp_path: Path) -> None:
    blurs = [0.0, 1.5, 16.0]
    train, val = speckled(tmp_path / "train", 0, 12), speckled(tmp_path / "val", 1, 12)
    chosen = choose_color_classifier(train, val, blurs)
    assert chosen.blur == 1.5
    # It is the same as one that is fitted with this blur alone.
    [alone] = fit_color_classifiers(train, [1.5])
    assert torch.equal(chosen.precision, alone.precision)
    # Where classes change from pixel to pixel, a pixel's surroundings say nothing of it.
    train, val = speckled(tmp_path / "dots", 2, 1), speckled(tmp_path / "others", 3, 1)
    assert choose_color_classifier(train, val, blurs).blur == 0.0


def test_val_decides_and_not_train(tmp_path: Path) -> None:
    dots, areas = speckled(tmp_path / "dots", 0, 1), speckled(tmp_path / "areas", 1, 12)
    assert choose_color_classifier(areas, dots, [0.0, 2.0]).blur == 0.0
    assert choose_color_classifier(areas, areas, [0.0, 2.0]).blur == 2.0


@pytest.mark.parametrize("blurs", [[0.0, 1.0, 3.0], [3.0, 1.0, 0.0]])
def test_the_choice_is_by_the_miou_that_is_reported(tmp_path: Path, blurs: list[float]) -> None:
    train, val = (speckled(tmp_path / name, seed, 6) for seed, name in enumerate(("train", "val")))
    folder = ShardFolder(val)
    scores = {}
    for classifier in fit_color_classifiers(train, blurs):
        confusion = ConfusionMatrix(len(NAMES))
        for i in range(len(folder)):
            image, label = (
                torch.tensor(png_pixels(folder.read(i, name)))[None]
                for name in ("image.png", "label.png")
            )
            confusion.update(classifier.score_batch(image).argmax(dim=1), label)
        scores[classifier.blur] = confusion.miou
    assert len(set(scores.values())) == len(blurs)
    assert choose_color_classifier(train, val, blurs).blur == max(scores, key=scores.__getitem__)


def test_of_blurs_that_do_equally_well_the_first_is_kept(tmp_path: Path) -> None:
    labels = np.zeros((2, 8, 8), np.uint8)
    one = shards_of(tmp_path / "one", np.full((2, 8, 8, 3), 90, np.uint8), labels)
    assert choose_color_classifier(one, one, [2.0, 0.0, 1.0]).blur == 2.0


def test_where_val_has_no_labelled_pixel_the_first_blur_is_kept(tmp_path: Path) -> None:
    train = speckled(tmp_path / "train", 0, 12)
    images, labels = np.zeros((1, 8, 8, 3), np.uint8), np.full((1, 8, 8), 255, np.uint8)
    val = shards_of(tmp_path / "val", images, labels)
    assert choose_color_classifier(train, val, [1.0, 0.0]).blur == 1.0


def test_class_colours_are_those_before_any_blur(
    gaussians: tuple[Manifest, np.ndarray, np.ndarray],
) -> None:
    plain, soft = fit_color_classifiers(gaussians[0], [0.0, 2.0])
    assert torch.equal(plain.color, plain.mean)
    assert torch.equal(soft.color, plain.color)
    # The blur mixes neighbours of other classes in.
    assert not torch.allclose(soft.mean[:3], plain.mean[:3], atol=5)
