"""Sides of a comparison made by hand."""

from typing import Any

from bench.compare.sides import Row, Side

BASE: dict[str, Any] = {
    "status": "done",
    "dataset": "shapes10",
    "dataset_sha256": "ab" * 32,
    "train_images": 640,
    "test_images": 320,
    "device": "cpu",
    "device_name": "Test CPU",
    "threads": 2,
    "preset": "smoke",
    "image_size": 32,
    "precision": "fp32",
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "batch_choice": "auto",
    "batch_size": 64,
    "epochs": 3,
    "augment": False,
    "pretrained": False,
    "channels_last": True,
    "params": 1_000_000,
    "max_batch": 100,
    "peak_memory_bytes": 300 * 2**20,
    "images_per_second": 100.0,
    "final_test_accuracy": 0.7,
    "calibration_gflops": 90.0,
    "noise": None,
}


def a_row(model: str = "resnet18", seed: int = 0, **values: Any) -> Row:
    return Row(BASE | {"model": model, "seed": seed} | values)


def a_side(*rows: Row, name: str = "run") -> Side:
    return Side(name, rows, 0)


def seeds(model: str, rates: list[float], **values: Any) -> list[Row]:
    """A trial for each throughput."""
    return [a_row(model, s, images_per_second=rate, **values) for s, rate in enumerate(rates)]
