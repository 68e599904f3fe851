"""The devices that trials run on side by side, or that train one together."""

import sys

import torch

from bench.errors import Refused
from bench.records.records import DeviceFacts
from bench.system.devices import Device, open_device


def open_slots(
    device: str, devices: str | None, share_node: int
) -> tuple[Device, tuple[DeviceFacts, ...]]:
    """The device that everything but trials runs on, and those of the slots; none of these if
    trials run one after another.

    Args:
        device: as in `--device`.
        devices: numbers of cards, or `all`, as in `--devices`.
        share_node: trials side by side on the CPU, among which torch's threads are divided, in this
            process too.

    Raises:
        Refused: there is no such device here, the cards are not alike, or there are too few
            threads.
    """
    if devices is not None:
        return _cards(devices)
    opened = open_device(device)
    if share_node == 1:
        return opened, ()
    if opened.kind != "cpu":
        raise Refused("--share-node is for the CPU; name several cards with --devices.")
    threads = torch.get_num_threads() // share_node
    if not threads:
        raise Refused(
            f"--share-node {share_node}: torch has {torch.get_num_threads()} threads here; use at "
            "most as many."
        )
    torch.set_num_threads(threads)
    return opened, (opened.facts(),) * share_node


def _cards(devices: str) -> tuple[Device, tuple[DeviceFacts, ...]]:
    first = open_device("cuda" if devices == "all" else f"cuda:{int(devices.split(',')[0])}")
    count = torch.cuda.device_count()
    numbers = range(count) if devices == "all" else [int(n) for n in devices.split(",")]
    facts = tuple(open_device(f"cuda:{number}").facts() for number in numbers)
    if len({(card.name, card.memory_bytes) for card in facts}) > 1:
        found = ", ".join(f"{card.device} {card.name}" for card in facts)
        raise Refused(f"--devices needs cards of one kind, to compare times; here are {found}.")
    # The last card that was opened is the current one.
    return open_device(first.torch.type + f":{first.torch.index}"), facts


def check_ranks(device: Device, ranks: int, *, sync_batch_norm: bool) -> None:
    """Raises Refused if so many processes cannot train together on this machine."""
    on_cpu = device.kind == "cpu"
    if sync_batch_norm and on_cpu:
        raise Refused("--sync-batch-norm needs CUDA cards, because torch has it for those alone.")
    if ranks == 1:
        return
    if sys.platform != "linux":
        raise Refused("--nproc-per-node needs Linux, where processes can be forked; leave it out.")
    found = torch.get_num_threads() if on_cpu else torch.cuda.device_count()
    if ranks > found:
        what = "threads of torch" if on_cpu else "CUDA cards"
        raise Refused(f"--nproc-per-node {ranks}: there are {found} {what} here; use at most that.")
