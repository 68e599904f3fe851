"""How well peak memory is predicted: simulated steps against published `max_memory_allocated`.

`python tests/benchmarks/published_memory.py` prints one line for each figure of
`published_memory.csv`. Such figures are rare with all that decides them (batch, image size,
precision, optimizer), and these come from other training loops: what is not stated is said in the
column `what`, and their optimizers' kernels are torch's default, foreach.
"""

import csv
import sys
from pathlib import Path

HERE = Path(__file__).parent
CLASSES = 1000


def allocated_bytes(row: dict[str, str]) -> int:
    """The predicted peak of a row's training step, extra copies of the weights included."""
    import torch
    import torchvision
    from torch.nn.functional import cross_entropy

    from bench.prediction import fake_cuda
    from bench.prediction.simulate import MemoryTrace, building, trace

    with building():
        network = torchvision.models.get_model(row["model"], num_classes=CLASSES).train()
    weights = sum(4 * p.numel() for p in network.parameters())
    side = int(row["image_size"])

    def steps(module: torch.nn.Module, memory: MemoryTrace, batch_size: int) -> None:
        images = torch.empty(batch_size, 3, side, side, device="cuda")
        labels = torch.zeros(batch_size, dtype=torch.int64, device="cuda")
        optimizer = torch.optim.AdamW(module.parameters(), foreach=True)
        for _ in range(2):
            optimizer.zero_grad()
            with fake_cuda.autocast(torch.float16 if row["precision"] == "fp16" else None):
                loss = cross_entropy(module(images), labels)
            loss.backward()
            optimizer.step()

    made = trace(network, steps, channels_last=False, classes=CLASSES)
    return made.peak_bytes(int(row["batch_size"])) + int(row["weight_copies"]) * weights


def main() -> int:
    """Simulate and print."""
    with (HERE / "published_memory.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        published, predicted = int(row["published_bytes"]), allocated_bytes(row)
        print(
            f"{row['model']:12}{row['image_size']:>4} px  batch {row['batch_size']:>4}  "
            f"published {published / 1e6:9,.1f} MB  predicted {predicted / 1e6:9,.1f} MB  "
            f"{predicted / published - 1:+.1%}  ({row['what']})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
