"""The trade-off between input size, views and width of the network: variants trained alike, then compared.

What differs from the first variant is one thing at a time. All variants see the same scenes in the same order, the same
number of times, under the same schedule and seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ...errors import XTagValueError
from ...model import Preparation, TagModel, write_atomically
from ...simulate import NUISANCES, TAGS, Example, make_scene, prepare_example
from .. import data
from ..evaluate.drops import Judged, compare
from ..evaluate.metrics import mean_average_precision
from ..evaluate.report import plain
from .network import VIEWS, build, jit_compile
from .training import masked_loss

__all__ = ["SPOILED", "VARIANTS", "Settings", "Variant", "select_variants", "model_directory", "study"]

# What a frame may lack or suffer; each taken to the end of its range, rotation by any angle.
SPOILED = ("centre_unknown", "rotation", "gaps", "hot_pixels")
CLEAN = "clean"
BLOCK = 100  # samples that are scored at once
LEAST = 8  # clean frames that hold a tag, and that do not, for the tag to count


@dataclass(frozen=True)
class Variant:
    """One way to build the model.

    Parameters
    ----------
    name : str
    size : int
        Side of the plain view; the grid and the polar view grow with it.
    views : tuple of str
        What the network looks at.
    width : float
        Channels of every layer, as in `network.build`.
    share : float
        Of the training samples that it sees: less than 1 where all would take too long.
    """

    name: str
    size: int = 64
    views: tuple[str, ...] = VIEWS
    width: float = 1.0
    share: float = 1.0

    @property
    def preparation(self) -> Preparation:
        """How frames are prepared for it."""
        return Preparation(grid=4 * self.size, side=self.size, radii=3 * self.size // 2, azimuths=72 * self.size // 64)


# 256 takes twenty times as long as 64: it is compared with 64 after the same short training.
VARIANTS = (
    Variant("size 64, all views"),
    Variant("plain view", views=("plain",)),
    Variant("polar view", views=("polar",)),
    Variant("plain and polar", views=("plain", "polar")),
    Variant("half width", width=0.5),
    Variant("one and a half", width=1.5),
    Variant("double width", width=2.0),
    Variant("size 128", size=128),
    Variant("size 64, quarter", share=0.25),
    Variant("size 256, quarter", size=256, share=0.25),
)


@dataclass(frozen=True)
class Settings:
    """What all variants share.

    Parameters
    ----------
    samples : int
        Simulated frames to train on; a fifth as many held-out frames to test on, and a twentieth of clean ones.
    epochs : int
        Passes over them.
    seed : int
        Of everything.
    batch : int
        Samples a step.
    learning_rate, weight_decay : float
        Of AdamW; the rate rises over a tenth of the training and falls to zero along a cosine.
    chunk : int
        Samples that are simulated together; the numbers of samples are rounded to whole chunks.
    """

    samples: int = 8_000
    epochs: int = 3
    seed: int = 1
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    chunk: int = 100

    def __post_init__(self) -> None:
        least = 4 * max(self.batch, self.chunk)
        if self.samples < least or self.epochs < 1:
            raise XTagValueError(f"at least {least} samples and one epoch are needed")

    def chunks(self, share: float) -> int:
        """Return how many chunks hold that share of the samples."""
        return max(1, round(self.samples * share / self.chunk))


def select_variants(names: Iterable[str]) -> tuple[Variant, ...]:
    """Return the variants of these names, all for none.

    Raises
    ------
    XTagValueError
        A name is not known.
    """
    known, names = {variant.name: variant for variant in VARIANTS}, list(names)
    if unknown := [name for name in names if name not in known]:
        raise XTagValueError(f"no variant {unknown[0]!r}; known: {', '.join(map(repr, known))}")
    return tuple(known[name] for name in names) or VARIANTS


def study(out: Path, settings: Settings, variants: Sequence[Variant] = VARIANTS) -> list[dict[str, Any]]:
    """Train and test each variant that `out` does not hold the result of yet.

    Parameters
    ----------
    out : Path
        Directory of the simulated samples (`data`), models (`models`) and results (`results`).
    settings : Settings
    variants : sequence of Variant

    Returns
    -------
    list of dict
        Of each variant its fields, `parameters`, `visits` (samples times epochs), `train_seconds`; `map`, its standard
        error `map_error` and `chance` on held-out frames with all nuisances drawn; `clean_map` on clean held-out
        frames, and `drops` from it by nuisance with `drop_errors`, over labels that the nuisance leaves as they are;
        None where there are too few frames.

    Raises
    ------
    XTagValueError
        `out` holds a study with other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    _same_settings(out / "settings.json", settings)
    return [_result(out, settings, variant) for variant in variants]


def model_directory(out: Path, variant: Variant) -> Path:
    """Return where a study keeps the model of a variant."""
    return out / "models" / _slug(variant)


def _slug(variant: Variant) -> str:
    return variant.name.replace(",", "").replace(" ", "-")


def _same_settings(path: Path, settings: Settings) -> None:
    if path.exists() and json.loads(path.read_text("utf-8")) != asdict(settings):
        raise XTagValueError(
            f"{path.parent} holds a study with other settings ({path.read_text('utf-8')}): "
            "give the same settings to go on with it, or another directory"
        )
    if not path.exists():
        with write_atomically(path) as new:
            new.write_text(json.dumps(asdict(settings)), "utf-8")


def _result(out: Path, settings: Settings, variant: Variant) -> dict[str, Any]:
    path = out / "results" / f"{_slug(variant)}.json"
    if path.exists():
        return json.loads(path.read_text("utf-8"))
    samples = out / "data" / str(variant.size)
    _simulate(samples, settings, variant)
    network, seconds = _train(data.load(samples / "train", settings.chunks(variant.share)), settings, variant)
    seen = settings.chunks(variant.share) * settings.chunk // settings.batch * settings.batch
    result = asdict(variant) | {
        "parameters": int(network.count_params()),
        "visits": settings.epochs * seen,
        "train_seconds": seconds,
        **_test(network, samples, settings),
    }
    _package(network, variant).save(model_directory(out, variant))
    path.parent.mkdir(exist_ok=True)
    with write_atomically(path) as new:
        new.write_text(json.dumps(plain(result), indent=1) + "\n", "utf-8")
    return json.loads(path.read_text("utf-8"))


def _simulate(directory: Path, settings: Settings, variant: Variant) -> None:
    """Make what is not there yet: samples to train on, held-out ones, and clean ones with each nuisance."""
    seeds, how, size = (3 * settings.seed - 2, 3 * settings.seed), variant.preparation, settings.chunk
    data.generate(directory / "train", settings.chunks(variant.share), seeds[0], size=size, preparation=how)
    data.generate(directory / "test", settings.chunks(1 / 5), seeds[1], held_out=True, size=size, preparation=how)
    for name in (CLEAN, *SPOILED):
        draw = partial(_spoil, name, seeds[1], how)
        data.fill(directory / name, settings.chunks(1 / 20), draw, size=size, preparation=how)


def _spoil(name: str, seed: int, preparation: Preparation, index: int) -> Example:
    """Return a held-out sample with this one nuisance, or a clean one."""
    scene = make_scene(seed, index, True, ())
    chance, exposure = (np.random.default_rng([seed, index, use]) for use in (3, 4))
    if name != CLEAN:
        level = chance.uniform(0, 360) if name == "rotation" else NUISANCES[name].levels[-1]
        scene = NUISANCES[name].at(scene, level, chance)
    return prepare_example(scene, exposure, preparation)


def _train(samples: data.Samples, settings: Settings, variant: Variant) -> tuple[Any, float]:
    """Return the trained network and the seconds that its training took."""
    import keras

    keras.utils.set_random_seed(settings.seed)
    width = variant.width
    network = build(variant.preparation.shapes, len(TAGS), width=width, image_width=width, views=variant.views)
    total = settings.epochs * (len(samples) // settings.batch)
    rate: Any = keras.optimizers.schedules.CosineDecay(
        0.0, total, warmup_target=settings.learning_rate, warmup_steps=max(1, total // 10)
    )
    optimiser = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, clipnorm=1.0)
    compiler = jit_compile(settings.epochs * (settings.samples // settings.batch))  # the same for all variants
    network.compile(optimiser, loss=masked_loss(samples.labels), jit_compile=compiler)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns) as progress:
        task = progress.add_task(f"Training {variant.name}", total=total)
        begin = perf_counter()
        for epoch in range(settings.epochs):
            rng = np.random.default_rng([settings.seed, epoch])
            for inputs, labels, _ in samples.batches(rng, settings.batch):
                network.train_on_batch(inputs, labels.astype(np.float32))
                progress.advance(task)
    return network, perf_counter() - begin


def _test(network: Any, directory: Path, settings: Settings) -> dict[str, Any]:
    """Return the mAP on held-out frames with all nuisances drawn, and its drops from clean to spoiled frames."""
    test = _judge(network, directory / "test", settings.chunks(1 / 5))
    found, chance = mean_average_precision(test.truth, test.scores)
    judged = {name: _judge(network, directory / name, settings.chunks(1 / 20)) for name in (CLEAN, *SPOILED)}
    drops = {name: compare(0, TAGS.names, judged[CLEAN], judged[name], LEAST) for name in SPOILED}
    return {
        "map": found,
        "map_error": _error(test),
        "chance": chance,
        "clean_map": mean_average_precision(judged[CLEAN].truth, judged[CLEAN].scores)[0],
        "drops": {name: drop.paired_drop for name, drop in drops.items()},
        "drop_errors": {name: drop.error for name, drop in drops.items()},
    }


def _judge(network: Any, directory: Path, chunks: int) -> Judged:
    """Return truth and logits of all frames in a directory."""
    samples = data.load(directory, chunks)
    parts = [slice(start, start + BLOCK) for start in range(0, len(samples), BLOCK)]
    logits = [network.predict_on_batch(samples.inputs(part)) for part in parts]
    return Judged(np.array(samples.labels), np.concatenate(logits))


def _error(test: Judged, rounds: int = 30) -> float:
    """Return the standard error of the mAP that the choice of the test frames makes, by bootstrap."""
    rng, count = np.random.default_rng(0), len(test.truth)
    rows = (rng.integers(0, count, count) for _ in range(rounds))
    return float(np.std([mean_average_precision(test.truth[row], test.scores[row])[0] for row in rows]))


def _package(network: Any, variant: Variant) -> TagModel:
    """Return a model with nothing calibrated, to be timed."""
    import keras

    scores = keras.layers.Activation("sigmoid", name="scores")(network.outputs[0])
    whole = keras.Model(network.inputs, scores, name="xtag")
    halves = [0.5] * len(TAGS)
    return TagModel.from_network(
        whole, TAGS, halves, variant.preparation, name=variant.name, version=version("bluesky_xtag")
    )
