"""The processes that train one trial together, and what they agree on.

Each has the same network and its share of every batch. torch's DistributedDataParallel makes the
gradients those of the whole batch; all else here is exact, also where shares differ by an image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.data.loader import ALL, Share
from bench.records.records import RankFacts
from bench.training.loop import Sums
from models.building.network import Losses, Network

STOP_SECONDS = 0.5
"""How often the ranks agree on whether to go on: each time takes a message."""


class _Losses(nn.Module):
    """A network's losses as what a module returns, which is all that is synchronised."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, labels: Tensor) -> Losses:
        return self.network.losses(images, labels)


class RankNetwork:
    """A rank's network: its gradients become those of the mean loss over all images of a batch.

    `batch` is the number of images in the present batch of all ranks; None if all have as many.
    """

    def __init__(self, network: Network, ranks: int) -> None:
        self.batch: int | None = None
        self._ranks = ranks
        self._parallel = DistributedDataParallel(_Losses(network))

    def train(self) -> None:
        """As `Network.train`."""
        self._parallel.train()  # type: ignore[no-untyped-call]

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """As `Network.losses`, of the rank's own images."""
        losses: Losses = self._parallel(images, labels)
        return losses

    def share(self, part: int, batch: int) -> float:
        """What the rank's mean loss counts in the mean over ranks, which is what the gradient is
        of: more than one where it has more images than others."""
        return self._ranks * part / (self.batch or self._ranks * batch)

    def fewest(self, batch: int) -> int:
        """The images that the rank with the fewest has, if this one has so many: all go backward
        equally often, for each time they sum their gradients."""
        return (self.batch or self._ranks * batch) // self._ranks


@dataclass(frozen=True)
class Gang:
    """One of the processes that train together; alone, it has nobody to agree with. `here` is its
    place among those of its node."""

    share: Share = ALL
    here: Share = ALL

    @property
    def alone(self) -> bool:
        """Whether there is one process."""
        return self.share.ranks == 1

    @property
    def leads(self) -> bool:
        """Whether this process reports and saves for all."""
        return self.share.rank == 0

    def join(self, network: Network, seed: int) -> Network | RankNetwork:
        """The network to train, which is the first rank's on all; from now on, each rank draws
        random numbers of its own."""
        if self.alone:
            return network
        joined = RankNetwork(network, self.share.ranks)
        if not self.leads:
            torch.manual_seed(seed + 1_000_003 * self.share.rank)
        return joined

    def wait(self) -> None:
        """Wait for the others."""
        if not self.alone:
            dist.barrier()

    def add_up(self, sums: Sums) -> Sums:
        """The sums of all ranks, on each of them."""
        if not self.alone:
            names, numbers = sums.numbers()
            total = torch.tensor(numbers, dtype=torch.float64)
            dist.all_reduce(total)
            sums.replace(names, total.tolist())
        return sums

    def same_buffers(self, network: nn.Module) -> None:
        """Give all ranks the first one's buffers: the statistics of its batch norm."""
        for buffer in network.buffers() if not self.alone else ():
            dist.broadcast(buffer, 0)

    def joined(self, logits: Tensor, images: int) -> Tensor:
        """The logits (images, classes) of a split of which each rank has those of its share, as
        float32 on the CPU."""
        logits = logits.float().cpu()
        if self.alone:
            return logits
        ranks = self.share.ranks
        most = -(-images // ranks)
        padded = logits.new_zeros((most, logits.shape[1]))
        padded[: len(logits)] = logits
        parts = [torch.empty_like(padded) for _ in range(ranks)]
        dist.all_gather(parts, padded)
        spans = [Share(rank, ranks).of(images) for rank in range(ranks)]
        return torch.cat([p[: s.stop - s.start] for p, s in zip(parts, spans, strict=True)])

    def random_states(self) -> list[Tensor]:
        """The state of torch's random numbers on the CPU, of each rank."""
        own = torch.get_rng_state()
        if self.alone:
            return [own]
        states = [torch.empty_like(own) for _ in range(self.share.ranks)]
        dist.all_gather(states, own)
        return states

    def facts(self, peak_bytes: int | None, cpu_seconds: float) -> tuple[RankFacts, ...]:
        """What each rank says of itself; nothing, if it is alone."""
        if self.alone:
            return ()
        own = torch.tensor([-1.0 if peak_bytes is None else peak_bytes, cpu_seconds]).double()
        every = [torch.empty_like(own) for _ in range(self.share.ranks)]
        dist.all_gather(every, own)
        values = [row.tolist() for row in every]
        return tuple(RankFacts(None if peak < 0 else int(peak), cpu) for peak, cpu in values)

    def stopping(self, asked: Callable[[], bool]) -> Callable[[], bool]:
        """Whether to stop before a step, as the first rank was asked: the same for all ranks, which
        must ask before every step. That takes a message only every `STOP_SECONDS`."""
        if self.alone:
            return asked
        steps, due, began = 0, 1, perf_counter()

        def stops() -> bool:
            nonlocal steps, due
            steps += 1
            if steps < due:
                return False
            pace = (perf_counter() - began) / steps
            ahead = max(1, int(STOP_SECONDS / max(pace, 1e-6)))
            said = torch.tensor([asked(), steps + ahead], dtype=torch.int64)
            dist.broadcast(said, 0)
            stop, due = said.tolist()
            return bool(stop)

        return stops


ALONE = Gang()
