"""How much of what NCCL transfers runs beside computation, counted from a trace.json that --trace has written."""


def union(spans):
    """[(begin, end)] -> the same time as disjoint stretches, ascending."""
    stretches = []
    for begin, end in sorted(spans):
        if stretches and begin <= stretches[-1][1]:
            stretches[-1][1] = max(stretches[-1][1], end)
        else:
            stretches.append([begin, end])
    return stretches


def length(stretches):
    return sum(end - begin for begin, end in stretches)


def common(a, b):
    """What two lists of disjoint ascending stretches share."""
    shared = []
    i = j = 0
    while i < len(a) and j < len(b):
        begin, end = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if begin < end:
            shared.append((begin, end))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return shared


def overlap(trace, chosen=""):
    """Of the time in which ranks transfer anything whose name contains `chosen`, the share in which the same rank
    computes; that time itself in milliseconds, summed over ranks; and the number of transfers. Transfers that run at
    the same time on one rank count once; waiting for the other rank is part of a transfer."""
    events = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    hidden = total = number = 0
    for rank in {event["pid"] for event in events}:
        def spans(kind, name=""):
            return [(e["ts"], e["ts"] + e["dur"]) for e in events
                    if e["pid"] == rank and e["cat"] == kind and name in e["name"]]
        transfers = spans("transfer", chosen)
        stretches = union(transfers)
        hidden += length(common(stretches, union(spans("compute"))))
        total += length(stretches)
        number += len(transfers)
    return (hidden / total if total else 0.0), total / 1000, number
