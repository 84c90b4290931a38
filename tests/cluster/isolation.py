"""Is what clients saw explained by one order of their operations?

A history is a list of operations and, for each item, the versions that it had, in order.  A version is a tuple of tokens,
each written once by one operation, or None: absent.  So it is known who wrote each version and who saw it, and a graph
says which operation must come before which:

    ww   wrote a version                 before   wrote the next one
    wr   wrote a version                 before   saw it
    rw   saw a version                   before   wrote the next one
    rt   ended                           before   began later

There is an order in which each took place at once, and in its time, if and only if the graph has no cycle.  Cycles have the
names of Adya ("Weak Consistency", 1999), and are sought as in Elle (Kingsbury and Alvaro, 2020): G0 of ww alone, G1c with wr,
G-single with one rw (a lost update, a skewed read), G2 with more; "-realtime" if the order of time is needed to find it.

What the service documents of isolation: transactions and operations on one item are serializable among each other; batches,
Query and Scan see each item by itself.  Here they are operations on one item each.  And a read of one item alone does not wait
for a transaction that is being carried out (docs/transactions.md): what comes behind it in time counts only on the same item.
"""

import math
from collections import defaultdict, deque

OK, FAILED, UNKNOWN = "ok", "failed", "unknown"


class Op:
    """What one client did at once.  `reads`: {key: version}, by asking or by a condition that held.  `writes`: {key: (how,
    tokens)}; how: "append" to what is there, "put" the tokens in its place, "delete" it."""

    def __init__(self, number, begin=0, end=math.inf, outcome=UNKNOWN, reads=None, writes=None, alone=False, strong=True):
        self.number, self.begin, self.end, self.outcome = number, begin, end, outcome
        self.reads, self.writes = reads or {}, writes or {}
        self.alone = alone    # a read of one item
        self.strong = strong  # not an eventually consistent read

    @property
    def ended(self):
        """When it had certainly taken place."""
        return self.end if self.outcome == OK else math.inf

    def __repr__(self):
        return f"[{self.number} {self.outcome} {self.begin}-{self.end} reads {self.reads} writes {self.writes}]"


def token(number, place=0):
    """What the operation of this number writes, first or later."""
    return f"{number}{'abcdef'[place]}"


def writer_number(a_token):
    return int(a_token[:-1])


class Checker:
    """Collects `anomalies`: (name, explanation)."""

    def __init__(self, ops, orders):
        self.ops = {op.number: op for op in ops}
        self.orders = orders
        self.anomalies = []
        self.writers = {}  # (key, position): operation
        self.places = {}   # (key, version): position
        self.written = defaultdict(int)  # (number, key): times
        self.deleters = defaultdict(list)  # key: operations
        for op in ops:
            for key, (how, _) in op.writes.items():
                if how == "delete":
                    self.deleters[key].append(op)
        self.took_place = {op.number for op in ops if op.outcome == OK}
        self.edges = defaultdict(list)  # number: [(number, kind, key)]

    def found(self, name, *what):
        self.anomalies.append((name, " ".join(map(str, what))))

    def check(self):
        places = [(key, position) for key, versions in self.orders.items() for position in range(1, len(versions))]
        for deletes in False, True:
            for key, position in places:
                if (self.orders[key][position] is None) == deletes:
                    (self.attribute_delete if deletes else self.attribute)(key, position)
        for op in self.ops.values():
            self.check_writes(op)
        for op in self.ops.values():
            if op.number in self.took_place:
                for key, version in op.reads.items():
                    self.check_read(op, key, version)
        if not self.anomalies:
            self.add_version_edges()
            self.add_time_edges()
            self.find_cycle()
        return self.anomalies

    # ---- Who wrote what ----

    def attribute(self, key, position):
        before, version = self.orders[key][position - 1:position + 1]
        if (key, version) in self.places:
            self.found("duplicate", key, "is", version, "twice")
        self.places[key, version] = position
        if len(set(version)) < len(version):
            self.found("duplicate", key, "is", version)
        op = self.ops.get(writer_number(version[-1]))
        if op is None or key not in op.writes:
            self.found("garbage", key, "is", version, "which nobody wrote")
            return
        how, tokens = op.writes[key]
        made = {"append": (before or ()) + tokens, "put": tokens, "delete": None}[how]
        if version != made:
            self.found("wrong version", key, "is", version, "behind", before, "by", op)
        self.wrote(op, key, position)

    def attribute_delete(self, key, position):
        """An absence names nobody; but only few can have deleted this version: those that took place by what else is known,
        or of those that nobody knows the end of, one that wrote nothing else."""
        before = self.orders[key][position - 1]
        able = [op for op in self.deleters[key] if op.reads.get(key, before) == before and not self.written[op.number, key] and
                (op.number in self.took_place or all(how == "delete" for how, _ in op.writes.values()))]
        sure = [op for op in able if op.number in self.took_place]
        able = [op for op in able if op.outcome != FAILED] or able
        if len(sure) > 1 or not able:
            self.found("duplicate" if sure else "garbage", key, "was", before, "and was deleted by", able)
        elif sure or len(able) == 1:
            self.wrote((sure or able)[0], key, position)
        else:
            self.writers[key, position] = Op(f"deleted {key} {position}")

    def wrote(self, op, key, position):
        if op.outcome == FAILED:
            self.found("G1a", key, "has", self.orders[key][position], "of what failed:", op)
        self.writers[key, position] = op
        self.written[op.number, key] += 1
        self.took_place.add(op.number)

    def check_writes(self, op):
        """It has written all, and each once; or nothing."""
        for key, (how, _) in op.writes.items() if op.number in self.took_place else ():
            times = self.written[op.number, key]
            if times != 1:
                name = "duplicate" if times else "lost write" if op.outcome == OK else "torn write"
                self.found(name, key, f"has {times} times the {how} of", op)

    # ---- Who saw what ----

    def check_read(self, op, key, version):
        if version is None or (key, version) in self.places:
            return
        wrote_last = self.ops.get(writer_number(version[-1]))
        if wrote_last is None or key not in wrote_last.writes:
            name = "garbage"
        elif any(self.ops[writer_number(t)].outcome == FAILED for t in version if writer_number(t) in self.ops):
            name = "G1a"
        elif any(version == longer[:len(version)] for k, longer in self.places if k == key) and \
                version[-1] != wrote_last.writes[key][1][-1]:
            name = "G1b"
        else:
            name = "unknown version"
        self.found(name, key, "was seen as", version, "by", op)

    def position_seen(self, op, key, version):
        """Which version it was; None if it is not known: the item was absent more than once, and time does not tell when."""
        if version is not None:
            return self.places[key, version]
        versions = self.orders.get(key, [None])
        if key in op.writes:  # what it saw is what it wrote upon
            own = [p for p, there in enumerate(versions) if there is None and self.writers.get((key, p + 1)) is op]
            if not own:
                self.found("G-single", key, "was not absent when it was written upon by", op)
            return own[0] if own else None
        able = [position for position, there in enumerate(versions) if there is None]
        if len(able) > 1:
            able = [p for p in able if (p == 0 or self.writers[key, p].begin <= op.ended) and
                    (p + 1 == len(versions) or self.writers[key, p + 1].ended >= op.begin)]
        if not able:
            self.found("impossible absence", key, "was seen as absent by", op)
        return able[0] if len(able) == 1 else None

    # ---- Edges ----

    def add_edge(self, before, after, kind, key=None):
        if before is not None and after is not None and before is not after:
            self.edges[before.number].append((after.number, kind, key))

    def add_version_edges(self):
        for (key, position), op in self.writers.items():
            self.add_edge(op, self.writers.get((key, position + 1)), "ww", key)
        for op in self.ops.values():
            if op.number not in self.took_place or not op.strong:
                continue
            for key, version in op.reads.items():
                position = self.position_seen(op, key, version)
                if position is not None:
                    self.add_edge(self.writers.get((key, position)), op, "wr", key)
                    self.add_edge(op, self.writers.get((key, position + 1)), "rw", key)

    def add_time_edges(self):
        """From each that ended to those that began later; not where another one between them says so already.  What is in a
        frontier has ended, and nothing that began later has."""
        everywhere, on_key, before = [], defaultdict(list), {}
        for _, is_end, op in sorted(((at, is_end, op) for op in self.ops.values() if op.number in self.took_place and op.strong
                                     for at, is_end in ((op.begin, 0), (op.ended, 1)) if at < math.inf), key=lambda m: m[:2]):
            keys = {*op.reads, *op.writes}
            if not is_end:
                before[op] = everywhere + [other for key in keys for other in on_key[key]]
                for other in before[op]:
                    self.add_edge(other, op, "rt")
                continue
            passed = set(before.pop(op))
            for key in keys:
                on_key[key] = [other for other in on_key[key] if other not in passed] + ([op] if op.alone else [])
            if not op.alone:
                everywhere = [other for other in everywhere if other not in passed] + [op]

    # ---- Cycles ----

    def find_cycle(self):
        for time in set(), {"rt"}:
            for name, kinds in ("G0", {"ww"}), ("G1c", {"ww", "wr"}), ("G2", {"ww", "wr", "rw"}):
                for nodes in components(self.edges, kinds | time):
                    cycle = name == "G2" and self.find_single(nodes, {"ww", "wr"} | time)
                    name = "G-single" if cycle else name
                    cycle = cycle or path(self.edges, nodes, kinds | time, nodes[0], nodes[0])
                    self.found(name + ("-realtime" if time else ""), self.describe(cycle))
                    return

    def find_single(self, nodes, kinds):
        inside = set(nodes)
        for node in nodes:
            for edge in self.edges[node]:
                if edge[1] == "rw" and edge[0] in inside:
                    rest = path(self.edges, nodes, kinds, edge[0], node)
                    if rest:
                        return [(node, *edge), *rest]
        return None

    def describe(self, cycle):
        steps = " ".join(f"{before} -{kind}{f'({key})' if key else ''}->" for before, _, kind, key in cycle)
        return "\n".join([f"{steps} {cycle[0][0]}", *(str(self.ops.get(before, before)) for before, *_ in cycle)])


def components(edges, kinds):
    """The strongly connected components of more than one node (Tarjan, 1972), each a list of nodes."""
    index, low, on_stack, stack, found = {}, {}, set(), [], []
    for root in list(edges):
        if root in index:
            continue
        work = [(root, None)]
        while work:
            node, following = work.pop()
            if following is None:
                index[node] = low[node] = len(index)
                stack.append(node)
                on_stack.add(node)
                following = iter([to for to, kind, _ in edges.get(node, ()) if kind in kinds])
            for to in following:
                if to not in index:
                    work += [(node, following), (to, None)]
                    break
                if to in on_stack:
                    low[node] = min(low[node], index[to])
            else:
                if low[node] == index[node]:
                    members = stack[stack.index(node):] if stack[-1] != node else [node]
                    del stack[-len(members):]
                    on_stack.difference_update(members)
                    if len(members) > 1:
                        found.append(members)
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
    return found


def path(edges, nodes, kinds, start, goal):
    """A shortest way from start to goal within the nodes, as (from, to, kind, key); of one step at least."""
    inside, came = set(nodes), {}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for to, kind, key in edges.get(node, ()):
            if kind not in kinds or to not in inside or to in came:
                continue
            came[to] = (node, to, kind, key)
            if to == goal:
                steps = [came[to]]
                while steps[-1][0] != start:
                    steps.append(came[steps[-1][0]])
                return steps[::-1]
            queue.append(to)
    return None


def check(ops, orders):
    """The anomalies of a history, as (name, explanation); none if it is as documented."""
    return Checker(ops, orders).check()
