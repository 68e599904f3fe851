from dataclasses import dataclass
@dataclass(frozen=True)
class Attempt:
    fits: bool
    peak_memory_bytes: int | None
@dataclass(frozen=True)
class Answer:
    largest: int
    limited_by: str
    probes: tuple
    contradictory: bool
def largest_batch(attempt, *, limit_bytes, cap, cap_reason="cap", smallest=1, first=(8,16)):
    n=smallest; lo=0; hi=cap+1; probes=[]
    while n<=cap:
        a=attempt(n); probes.append((n,a))
        if a.fits: lo=n
        else: hi=n; break
        if n==cap: break
        n=min(2*n,cap)
    while lo and hi-lo>1 and hi<=cap:
        m=(lo+hi)//2; a=attempt(m); probes.append((m,a))
        if a.fits: lo=m
        else: hi=m
    return Answer(lo,"memory" if hi<=cap else cap_reason,tuple(probes),False)
