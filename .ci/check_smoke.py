"""Check the tables and pictures of a smoke run; exits with 1 and says what is wrong."""

import sys
from pathlib import Path

import pandas as pd

folder = Path(sys.argv[1])
models, epochs, probes, layers = (
    pd.read_csv(folder / f"{name}.csv") for name in ("models", "epochs", "probes", "layers")
)
checks = {
    "two trials, both done": list(models.status) == ["done", "done"],
    "the models asked for": list(models.model) == ["resnet18", "googlenet"],
    "parameters as trained": list(models.params) == [11_181_642, 9_960_638],
    "parameters as they come": list(models.params_imagenet) == [11_689_512, 13_004_888],
    "two epochs each": list(epochs.epoch) == [1, 2, 1, 2],
    "accuracies are fractions": epochs.test_accuracy.between(0, 1).all(),
    "losses are finite": epochs[["train_loss", "test_loss"]].notna().all(axis=None),
    "times are positive": (epochs[["train_seconds", "test_seconds"]] > 0).all(axis=None),
    "the largest batch was searched for": (models.max_batch >= models.batch_size).all(),
    "its probes are on record": set(probes.model) == {"resnet18", "googlenet"},
    "layers add up": dict(layers.groupby("model").params.sum())
    == dict(zip(models.model, models.params, strict=True)),
    "the data set is said in every row": models.dataset.notna().all()
    and epochs.dataset.notna().all(),
    "plots are there, twice": len(list((folder / "plots").glob("*.[ps][nv]g"))) >= 14,
    "a report": "| resnet18 |" in (folder / "report.md").read_text(),
}
wrong = [what for what, right in checks.items() if not right]
print(f"{len(checks) - len(wrong)} of {len(checks)} checks hold")
for what in wrong:
    print(f"WRONG: {what}")
sys.exit(bool(wrong))
