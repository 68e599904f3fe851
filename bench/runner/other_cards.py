"""What a run predicts for cards that need not be here: the largest batch, and the speed at it."""

from collections.abc import Sequence

from bench.batch_size.certificate import SMALLEST_BATCH
from bench.config import DEFAULT_CARDS, settings_of
from bench.errors import Refused, TrialFailed
from bench.prediction.cards import DEFAULT_RESERVE_BYTES, Card, find_card
from bench.prediction.memory import breakdown, predict
from bench.prediction.speed import with_speeds
from bench.records import messages
from bench.runner.own_models import one_at_a_time
from bench.runner.recorder import Recorder
from bench.runner.worker_process import Worker

BREAKDOWN_BATCH = 32
"""The batch size whose memory is broken down: the lecture's for its GoogLeNet."""


def predict_on_cards(recorder: Recorder) -> bool:
    """Predict for every model in each of its settings, on the cards that were asked for, or on the
    usual ones where no card is here, and record what is not known yet; whether anything was not."""
    config, prepared = recorder.config, recorder.prepared
    names = () if prepared.device.kind == "cuda" else DEFAULT_CARDS
    cards = [find_card(name) for name in (names if config.card is None else config.card)]
    known = {(b.model, b.setting) for b in recorder.run.breakdowns}
    shapes = [(m.name, s) for m in prepared.models for s in settings_of(m, config)]
    left = tuple(shape for shape in shapes if shape not in known)
    if not (cards and left):
        return False
    job = messages.SimulateJob(
        shapes=left,
        num_classes=len(prepared.dataset.classes),
        dataset=prepared.dataset,
        own=prepared.own,
    )
    recorder.tell(messages.Progress("predicting the largest batch on other cards", 0, 1))
    for part in one_at_a_time(job):
        try:
            with Worker(part, recorder.log) as worker:
                for simulated in worker.messages():
                    _predict(recorder, simulated, cards)
        except (TrialFailed, Refused) as error:
            recorder.tell(messages.Warned(f"no prediction: {error}"))
    return True


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
    size, reserve = min(BREAKDOWN_BATCH, cap), DEFAULT_RESERVE_BYTES
    recorder.record(
        breakdown(trace, model=model, setting=setting, batch_size=size, reserve_bytes=reserve)
    )
