"""Trains a tag model from simulated frames; stops and goes on where it was."""

from __future__ import annotations

import json
import logging
import math
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from scipy.special import expit
from scipy.stats import spearmanr

from ...errors import XTagError, XTagValueError
from ...model import Preparation, TagModel, write_atomically
from ...simulate import FAINTEST, STRENGTHS, TAGS
from .. import data
from ..evaluate.evaluation import figures
from ..evaluate.metrics import best_threshold, calibrate, mean_average_precision
from .narrow import is_wider, narrow, teach
from .network import IMAGE_WIDTH, WIDTH, build, jit_compile

__all__ = ["Settings", "masked_loss", "train"]

log = logging.getLogger("bluesky_xtag")
CHECKPOINT_SECONDS = 120.0
_STRENGTHS_WEIGH = 0.3  # of the loss of strengths, beside that of the tags
_LOOKED_AT = 500  # samples that tell which channels of a wider network count most


@dataclass(frozen=True)
class Settings:
    """What decides a training; the same settings give the same model up to rounding.

    Parameters
    ----------
    samples, validation, test : int
        Simulated frames, in whole chunks; the test's detectors and q ranges are held out.
    epochs : int
        Passes over the training samples.
    batch : int
        Samples a step.
    learning_rate, weight_decay : float
        Of AdamW; the rate falls to zero along a cosine.
    seed : int
        Of everything.
    chunk : int
        Samples that are simulated and kept on disk together.
    width, image_width : float
        Channels of the layers, as in `network.build`.
    start : str
        Name, version and first digits of the hash of the model that training starts from; "" for none.
    version : str
        Of the model; "" for that of this package.
    forms, observed : float
        Shares of what training and validation frames show beyond the nuisances, as in `bluesky_xtag.simulate.sample`.
        The test is without them, so that models of all trainings can be compared.
    """

    samples: int = 100_000
    validation: int = 4_000
    test: int = 5_000
    epochs: int = 10
    batch: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    seed: int = 1
    chunk: int = data.CHUNK
    width: float = WIDTH
    image_width: float = IMAGE_WIDTH
    start: str = ""
    version: str = ""
    forms: float = 0.0
    observed: float = 0.0

    def __post_init__(self) -> None:
        if min(self.samples, self.validation, self.test) < 1 or self.epochs < 1:
            raise XTagValueError("samples, validation, test and epochs must be at least 1")
        if self.batch > self.chunks("samples") * self.chunk:
            raise XTagValueError(f"a batch of {self.batch} is larger than the training set: lower it")

    def chunks(self, name: str) -> int:
        """Return how many chunks hold the samples called `name`."""
        return -(-getattr(self, name) // self.chunk)


class _Fit:
    """Network, optimiser and their place in the training; saved and restored whole."""

    def __init__(self, settings: Settings, samples: data.Samples, work: Path) -> None:
        import keras

        keras.utils.set_random_seed(settings.seed)
        self.settings, self.samples, self.path = settings, samples, work / "checkpoint.npz"
        self.lessons = samples
        widths: dict[str, Any] = {"width": settings.width, "image_width": settings.image_width}
        self.network = build(Preparation().shapes, len(TAGS), **widths, strengths=len(STRENGTHS))
        self.per_epoch = len(samples) // settings.batch
        self.total = self.per_epoch * settings.epochs
        rate: Any = keras.optimizers.schedules.CosineDecay(
            0.0, self.total, warmup_target=settings.learning_rate, warmup_steps=min(300, self.total // 10)
        )
        optimiser = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, clipnorm=1.0)
        optimiser.build(self.network.trainable_variables)
        compiler = jit_compile(self.total)
        self.network.compile(
            optimiser,
            loss=[masked_loss(samples.labels), keras.losses.Huber(0.5)],
            loss_weights=[1.0, _STRENGTHS_WEIGH],
            jit_compile=compiler,
        )
        self.optimiser, self.step, self.history, self.seconds = optimiser, 0, [], 0.0

    def adopt(self, first: TagModel) -> None:
        """Start from the weights of a model, as far as it has the same layers and tags; learn from a wider one."""
        from keras import ops

        known = {layer.name: layer.get_weights() for layer in first.network.layers}
        for layer in self.network.layers:
            own, given = layer.get_weights(), known.get(layer.name, [])
            if own and [w.shape for w in own] == [w.shape for w in given] and layer.name != "logits":
                layer.set_weights(given)
        shared = [name for name in TAGS.names if name in first.taxonomy.names]
        to, of = ([taxonomy.index(name) for name in shared] for taxonomy in (TAGS, first.taxonomy))
        logits = self.network.get_layer("logits")
        kernel, bias = (np.array(ops.convert_to_numpy(w)) for w in logits.weights)
        given_kernel, given_bias = first.network.get_layer("logits").get_weights()
        kernel[:, to], bias[to] = given_kernel[:, of], given_bias[of]
        logits.set_weights([kernel, bias])
        if is_wider(first.network, self.network):
            narrow(first.network, self.network, self.samples.inputs(slice(0, _LOOKED_AT)))
            log.info("learning from the wider %s %s, with its strongest channels", first.name, first.version)
            labels = teach(self.samples, first, to, of, self.path.with_name("taught.npy"))
            self.lessons = replace(self.samples, labels=labels)

    def _variables(self) -> list[Any]:
        return [*self.network.variables, *self.optimiser.variables]

    def save(self) -> None:
        from keras import ops

        state = {"step": self.step, "history": self.history, "seconds": self.seconds}
        arrays: dict[str, Any] = {f"v{i}": ops.convert_to_numpy(v) for i, v in enumerate(self._variables())}
        with write_atomically(self.path) as new, new.open("wb") as file:
            np.savez(file, **arrays, state=json.dumps(state))

    def restore(self) -> None:
        if not self.path.exists():
            return
        with np.load(self.path) as saved:
            for i, variable in enumerate(self._variables()):
                variable.assign(saved[f"v{i}"])
            state = json.loads(str(saved["state"]))
        self.step, self.history, self.seconds = state["step"], state["history"], state.get("seconds", 0.0)

    def outputs(self, samples: data.Samples) -> tuple[np.ndarray, np.ndarray]:
        """Return the logits and the strengths of samples."""
        parts = [
            self.network.predict_on_batch(samples.inputs(slice(start, start + 250)))
            for start in range(0, len(samples), 250)
        ]
        logits, strengths = zip(*parts, strict=True)
        return np.concatenate(logits), np.concatenate(strengths)

    def run(self, validation: data.Samples, progress: Progress) -> None:
        """Train to the end, from wherever this is."""
        task = progress.add_task("Training", total=self.total, completed=self.step, note="")
        saved, losses = time.monotonic(), []
        while self.step < self.total:
            epoch, done = divmod(self.step, self.per_epoch)
            rng = np.random.default_rng([self.settings.seed, epoch])
            for inputs, *truth in self.lessons.batches(rng, self.settings.batch, skip=done):
                truth = [known.astype(np.float32) for known in truth]
                losses.append(self.network.train_on_batch(inputs, truth, return_dict=True)["loss"])
                self.step += 1
                progress.update(task, completed=self.step, note=f"loss {np.mean(losses[-100:]):.4f}")
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    saved = self._checkpoint(saved)
            found, chance = mean_average_precision(validation.labels, self.outputs(validation)[0])
            self.history.append({"epoch": epoch + 1, "loss": float(np.mean(losses)), "map": found})
            log.info(
                "epoch %d: loss %.4f, validation mAP %.3f (chance %.3f)", epoch + 1, np.mean(losses), found, chance
            )
            losses, saved = [], self._checkpoint(saved)

    def _checkpoint(self, since: float) -> float:
        now = time.monotonic()
        self.seconds += now - since
        self.save()
        return now


def masked_loss(labels: np.ndarray) -> Any:
    """Return the loss for training labels (n, tags) of 1, 0 and -1.

    Cross entropy over the labels that are not -1; hits of rare tags weigh more, by the root of the odds (1 to 4).
    The truth that it is given may lie between 0 and 1, too.
    """
    from keras import ops

    known = (labels >= 0).sum(0)
    share = np.clip((labels == 1).sum(0) / np.maximum(known, 1), 1e-3, 1 - 1e-3)
    weight = np.clip(np.sqrt((1 - share) / share), 1, 4).astype(np.float32)

    def loss(truth: Any, logits: Any) -> Any:
        counted = ops.cast(truth >= 0, logits.dtype)
        hit: Any = ops.cast(ops.maximum(truth, 0), logits.dtype)
        entropy = weight * hit * ops.softplus(-logits) + (1 - hit) * ops.softplus(logits)
        total: Any = ops.sum(entropy * counted)
        return total / ops.maximum(ops.sum(counted), 1)

    return loss


def train(out: str | Path, *, workers: int | None = None, start: str | Path | None = None, **settings: Any) -> Path:
    """Train a model and save it.

    Simulated samples and checkpoints lie in a directory beside `out` with the suffix `.work`. Called again after it
    was stopped, training goes on from the last checkpoint (at most two minutes old).

    Parameters
    ----------
    out : path
        Model directory to write.
    workers : int, optional
        Processes that simulate; all cores if not given.
    start : path, optional
        Directory of a model with the same inputs to start from, instead of from chance; tags that it lacks start anew.
        Of a model whose image layers are wider, but which is alike otherwise, the strongest channels are kept, and what
        is learned lies halfway between the labels and its scores (see `narrow`).
    **settings
        As in `Settings`: samples, epochs, seed, ...

    Returns
    -------
    pathlib.Path
        The model directory.

    Raises
    ------
    XTagValueError
        The settings do not fit each other, or differ from those of a training begun in the same place, or the model
        to start from has other tags or other inputs.
    ModelError
        The model to start from cannot be loaded.
    XTagError
        The disk is full, or a process that simulates ended. What is done is kept, and the same call goes on from there.
    """
    first = None if start is None else _first(start)
    identity = "" if first is None else f"{first.name} {first.version} {first.sha256[:12]}"
    out, chosen = Path(out), Settings(**settings, start=identity)
    work = out.with_name(out.name + ".work")
    try:
        return _train(out, work, chosen, first, workers)
    except XTagError:
        raise
    except OSError as error:
        raise XTagError(
            f"{out} cannot be trained ({error}): mend that and call again; what is done is kept in {work}"
        ) from error


def _train(out: Path, work: Path, chosen: Settings, first: TagModel | None, workers: int | None) -> Path:
    work.mkdir(parents=True, exist_ok=True)
    _same_settings(work / "settings.json", chosen)
    for name, offset, held_out in (("validation", 1, False), ("test", 0, True), ("samples", 2, False)):
        seed = 3 * chosen.seed - offset
        more: dict[str, Any] = {} if held_out else {"forms": chosen.forms, "observed": chosen.observed}
        data.generate(work / name, chosen.chunks(name), seed, held_out, workers, chosen.chunk, **more)
    samples, validation = (data.load(work / name, chosen.chunks(name)) for name in ("samples", "validation"))
    fit = _Fit(chosen, samples, work)
    if first is not None:
        fit.adopt(first)
    fit.restore()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, TextColumn("{task.fields[note]}")) as progress:
        fit.run(validation, progress)
    test = data.load(work / "test", chosen.chunks("test"))
    model = _package(fit, validation, test, out.name)
    model.save(out)
    _picture(fit.history, len(samples), out / "training.png")
    return out


def _first(start: str | Path) -> TagModel:
    first = TagModel.load(start)
    if first.preparation != Preparation() or "logits" not in {layer.name for layer in first.network.layers}:
        raise XTagValueError(f"{start} has other inputs or another network than this package: start from another model")
    return first


def _package(fit: _Fit, validation: data.Samples, test: data.Samples, name: str) -> TagModel:
    """Calibrate, choose thresholds on validation data, and measure on the held-out geometries."""
    import keras

    _calibrate(fit.network, validation.labels, fit.outputs(validation)[0])
    (seen, _), (unseen, strengths) = (fit.outputs(samples) for samples in (validation, test))
    seen, unseen = expit(seen), expit(unseen)
    thresholds = np.array(
        [best_threshold(truth, score) for truth, score in zip(validation.labels.T, seen.T, strict=True)]
    )
    logits, estimated = fit.network.outputs
    scores = keras.layers.Activation("sigmoid", name="scores")(logits)
    outputs = keras.layers.Concatenate(name="outputs")([scores, estimated])
    network = keras.Model(fit.network.inputs, outputs, name="xtag")
    reports = {
        name: figures(TAGS.names, samples.labels, score, thresholds).to_dict()
        for name, samples, score in (("validation", validation, seen), ("held_out", test, unseen))
    }
    return TagModel.from_network(
        network,
        TAGS.grade(STRENGTHS),
        thresholds,
        Preparation(),
        name=name,
        version=fit.settings.version or version("bluesky_xtag"),
        parameters=int(network.count_params()),
        figures=reports,
        strength_correlations=_rank_correlations(test.strengths, strengths),
        training=asdict(fit.settings)
        | {"history": fit.history, "seconds": round(fit.seconds), "data_sha256": data.digest(fit.samples)},
        versions=_versions(),
    )


def _rank_correlations(truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Return Spearman's rank correlation of each strength with the truth, over the frames that show the component."""
    shown = truth > math.log10(FAINTEST)
    found_by_name = {}
    for column, name in enumerate(STRENGTHS):
        here = shown[:, column]
        if here.sum() > 2:
            result: Any = spearmanr(truth[here, column], found[here, column])
            found_by_name[name] = round(float(result.statistic), 4)
    return found_by_name


def _versions() -> dict[str, str]:
    """Return what took part; TensorFlow may be absent where another backend trains."""
    import keras

    found = {"python": platform.python_version(), "backend": keras.backend.backend()}
    for package in ("keras", "tensorflow", "jax", "torch", "numpy", "scipy", "opencv-python-headless", "pyFAI"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _calibrate(network: Any, labels: np.ndarray, logits: np.ndarray) -> None:
    """Fold Platt's scaling of each tag into the last layer."""
    kernel, bias = network.get_layer("logits").get_weights()
    scale = np.array([calibrate(truth, z) for truth, z in zip(labels.T, logits.T, strict=True)])
    network.get_layer("logits").set_weights([kernel * scale[:, 0], bias * scale[:, 0] + scale[:, 1]])


def _picture(history: list[dict[str, float]], samples: int, path: Path) -> None:
    """Draw the learning curve."""
    from matplotlib.figure import Figure

    figure = Figure((6, 3.2), layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    seen = [entry["epoch"] * samples / 1000 for entry in history]
    left.plot(seen, [entry["loss"] for entry in history], "o-", color="tab:grey")
    right.plot(seen, [entry["map"] for entry in history], "o-", color="tab:blue")
    left.set(xlabel="samples seen / 1000", ylabel="training loss (grey)")
    right.set(ylabel="validation mAP (blue)")
    with write_atomically(path) as new, new.open("wb") as file:
        figure.savefig(file, format="png", dpi=120)


def _same_settings(path: Path, chosen: Settings) -> None:
    if path.exists() and json.loads(path.read_text()) != asdict(chosen):
        raise XTagValueError(
            f"{path.parent} holds a training with other settings ({path.read_text()}): "
            "give the same settings to go on with it, or remove that directory"
        )
    if not path.exists():
        with write_atomically(path) as new:
            new.write_text(json.dumps(asdict(chosen)))
