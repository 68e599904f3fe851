"""What a run predicts for cards that need not be here: the largest batch, and the speed at it."""

from collections.abc import Sequence
from dataclasses import replace

from bench.batch_size.certificate import SMALLEST_BATCH
from bench.config import DEFAULT_CARDS, settings_of
from bench.errors import Refused, TrialFailed
from bench.prediction.cards import DEFAULT_RESERVE_BYTES, Card, find_card
from bench.prediction.memory import breakdown, predict
from bench.prediction.speed import with_speeds
from bench.records import messages
from bench.records.records import DatasetFacts
from bench.runner.own_models import one_at_a_time
from bench.runner.plan import Shape
from bench.runner.recorder import Recorder
from bench.runner.worker_process import Worker

BREAKDOWN_BATCH = 32
"""The batch size whose memory is broken down: the lecture's for its GoogLeNet."""


def predict_on_cards(recorder: Recorder) -> bool:
    """Predict for every model in each of its settings, on the cards that were asked for, or on the
    usual ones where no card is here, and record what is not known yet; whether anything was not."""
    config, prepared, run = recorder.config, recorder.prepared, recorder.run
    names = () if prepared.device.kind == "cuda" else DEFAULT_CARDS
    cards = [find_card(name) for name in (names if config.card is None else config.card)]
    shapes = [(m.name, s) for m in prepared.models for s in settings_of(m, config)]
    simulates = False
    for kept in (True, False):
        alike = [card for card in cards if _keeps_images(card, prepared.dataset) is kept]
        known = {(p.model, p.setting, p.card) for p in run.all_predictions}
        parts = {(b.model, b.setting) for b in run.breakdowns}
        left = tuple(
            shape
            for shape in shapes
            if shape not in parts or any((*shape, card.name) not in known for card in alike)
        )
        if alike and left:
            simulates = True
            _predict_all(recorder, left, alike, replace(prepared.dataset, resident=kept))
    return simulates


def _keeps_images(card: Card, data: DatasetFacts) -> bool:
    """Whether a run on that card would keep all images there: files are streamed if they take more
    than half of its memory (see `DataRequest.memory_bytes`)."""
    in_files = "folder" in (data.name, data.asked) or not data.resident
    return not in_files or 2 * data.image_bytes <= card.usable_bytes()


def _predict_all(
    recorder: Recorder, shapes: tuple[Shape, ...], cards: Sequence[Card], data: DatasetFacts
) -> None:
    own = recorder.prepared.own
    job = messages.SimulateJob(shapes, len(data.classes), dataset=data, own=own)
    recorder.tell(messages.Progress("predicting the largest batch on other cards", 0, 1))
    for part in one_at_a_time(job):
        try:
            with Worker(part, recorder.log) as worker:
                for simulated in worker.messages():
                    _predict(recorder, simulated, cards)
        except (TrialFailed, Refused) as error:
            recorder.tell(messages.Warned(f"no prediction: {error}"))


def _predict(recorder: Recorder, simulated: messages.Simulated, cards: Sequence[Card]) -> None:
    model, setting, trace = simulated.model, simulated.setting, simulated.trace
    if trace is None:
        recorder.tell(messages.Warned(f"{model}: no prediction: {simulated.reason}"))
        return
    data = recorder.prepared.dataset
    classes, images = len(data.classes), data.train_images
    cap = max(SMALLEST_BATCH, images)
    sizes = [size for size in recorder.config.batch_size if isinstance(size, int)]
    # How long ranks wait for each other is not known.
    kernels = simulated.kernels if setting.ranks == 1 else None
    made = recorder.run.all_predictions
    known = {p.card for p in made if (p.model, p.setting) == (model, setting)}
    for card in cards:
        if card.name in known:
            continue
        predicted = predict(
            trace, model=model, setting=setting, num_classes=classes, card=card, cap=cap
        )
        recorder.record(
            with_speeds(predicted, kernels, card=card, batch_sizes=sizes, images=images)
        )
    if any((b.model, b.setting) == (model, setting) for b in recorder.run.breakdowns):
        return
    size, reserve = min(BREAKDOWN_BATCH, cap), DEFAULT_RESERVE_BYTES
    recorder.record(
        breakdown(trace, model=model, setting=setting, batch_size=size, reserve_bytes=reserve)
    )
