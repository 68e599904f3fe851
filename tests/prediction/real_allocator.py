"""torch's own CUDA caching allocator, replaying traces: a process of its own, without a card.

`cudart_without_card.c` must be preloaded. A line of JSON comes in, sizes, events and a capacity; a
line goes out: the bytes in segments after each event, up to the first that fails.
"""

import json
import os
import sys

import torch


def main() -> None:
    """Answer until the input ends."""
    os.environ["CARD_BYTES"] = str(2**40)
    torch._C._cuda_init()
    for line in sys.stdin:
        sizes, events, capacity = json.loads(line)
        os.environ["CARD_BYTES"] = str(capacity or 2**40)
        print(json.dumps(reserved_after(sizes, events)), flush=True)


def reserved_after(sizes: list[int], events: list[int]) -> list[int]:
    """Bytes in segments after each event."""
    addresses: dict[int, int] = {}
    reserved: list[int] = []
    try:
        for event in events:
            if event >= 0:
                addresses[event] = torch._C._cuda_cudaCachingAllocator_raw_alloc(sizes[event], 0)
            else:
                torch._C._cuda_cudaCachingAllocator_raw_delete(addresses.pop(~event))
            reserved.append(torch._C._cuda_memoryStats(0)["reserved_bytes"]["all"]["current"])
    except torch.OutOfMemoryError:
        pass
    for address in addresses.values():
        torch._C._cuda_cudaCachingAllocator_raw_delete(address)
    torch._C._cuda_emptyCache()
    return reserved


if __name__ == "__main__":
    main()
