"""A seeded hammer: random operations against a plain model of the table; every answer is compared, through a cache that
is far too small, clean stops and kills.

HAMMER_SEED repeats a run, HAMMER_STEPS makes it longer.
"""

import os
import random
from decimal import Decimal

import pytest

from process import Refused, eventually

SEED = int(os.environ.get("HAMMER_SEED", "20261120"))
STEPS = int(os.environ.get("HAMMER_STEPS", "1500"))
BASE64 = ["AA==", "AQ==", "/w==", "AAA=", "AP8=", "YWJj", "//////8="]
NAMES = ["a", "b", "c", "count", "tags", "map", "list"]


def number_text(number):
    """As the service writes a number."""
    if number == 0:
        return "0"
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def canonical(value):
    """A value in a form in which equal values are equal."""
    (kind, content), = value.items()
    if kind == "N":
        return {"N": number_text(Decimal(content))}
    if kind == "NS":
        return {"NS": sorted(number_text(Decimal(n)) for n in content)}
    if kind in ("SS", "BS"):
        return {kind: sorted(content)}
    if kind == "L":
        return {"L": [canonical(element) for element in content]}
    if kind == "M":
        return {"M": {name: canonical(member) for name, member in content.items()}}
    return value


def canonical_item(item):
    return None if item is None else {name: canonical(value) for name, value in item.items()}


# ---- What a condition means ----

def compare(operator, left, right):
    if left is None or right is None:
        return operator == "<>" and (left is None) != (right is None)
    (left_kind, a), = canonical(left).items()
    (right_kind, b), = canonical(right).items()
    if operator in ("=", "<>"):
        return ((left_kind, a) == (right_kind, b)) == (operator == "=")
    if left_kind != right_kind or left_kind not in ("S", "N"):
        return False
    if left_kind == "N":
        a, b = Decimal(a), Decimal(b)
    else:
        a, b = a.encode(), b.encode()
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]


class Expression:
    """Collects names and values of a request's expressions."""

    def __init__(self):
        self.names, self.values = {}, {}

    def name(self, name):
        self.names["#" + name] = name
        return "#" + name

    def value(self, value):
        key = f":v{len(self.values)}"
        self.values[key] = value
        return key

    def members(self):
        return {**({"ExpressionAttributeNames": self.names} if self.names else {}),
                **({"ExpressionAttributeValues": self.values} if self.values else {})}


class Table:
    """What the table holds: {(pk, sk): item}, keys as the service compares them."""

    def __init__(self, name, sort_kind):
        self.name, self.sort_kind = name, sort_kind
        self.items = {}

    def key(self, pk, sk):
        return {"pk": {"S": pk}, "sk": {self.sort_kind: sk}}

    def place(self, key):
        sk = key["sk"][self.sort_kind]
        return key["pk"]["S"], Decimal(sk) if self.sort_kind == "N" else sk

    def order(self, place):
        return place[1].encode() if self.sort_kind == "S" else place[1]


class Hammer:
    """One client, one step after the other."""

    def __init__(self, start, options, seed):
        self.start, self.options = start, options
        self.random = random.Random(seed)
        self.server = start(*options)
        self.tables = [Table("numbers", "N"), Table("texts", "S")]
        for table in self.tables:
            self.create(table)

    def create(self, table):
        self.server.create(table.name, f"pk:S sk:{table.sort_kind}")

    # ---- Choices ----

    def pk(self):
        r = self.random
        return r.choice(["p", "q" * 2048, "\x00" * 2048, "\x00", "\U0010ffff" * 512]) if r.random() < 0.3 \
            else f"p{r.randrange(6)}"

    def sk(self, table):
        r = self.random
        if table.sort_kind == "N":
            return number_text(Decimal(r.choice([r.randrange(-40, 40), r.randrange(-5, 5)])) /
                               r.choice([1, 1, 8, 1000]))
        return r.choice(["\x00", "\x00\x00", "\x00\x01", "\x01", "\x00" * 1024, "\U0010ffff" * 256, "a", "ab"]) \
            if r.random() < 0.3 else f"s{r.randrange(60):03}"

    def value(self, depth=0):
        r = self.random
        kind = r.choice(["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS"] + (["L", "M"] if depth < 4 else []))
        if kind == "S":
            return {"S": r.choice(["", "x", "yy", "\u00e9\u20ac", '"\\\n', "a" * r.randrange(300)])}
        if kind == "N":
            return {"N": self.number()}
        if kind == "B":
            return {"B": r.choice(BASE64)}
        if kind == "BOOL":
            return {"BOOL": r.random() < 0.5}
        if kind == "NULL":
            return {"NULL": True}
        if kind == "SS":
            return {"SS": r.sample(["r", "s", "t", "u", "\u00e9"], r.randrange(1, 5))}
        if kind == "NS":
            return {"NS": r.sample(["0", "1", "2.5", "-3", "1e3", "7E-5"], r.randrange(1, 6))}
        if kind == "BS":
            return {"BS": r.sample(BASE64, r.randrange(1, 5))}
        if kind == "L":
            return {"L": [self.value(depth + 1) for _ in range(r.randrange(4))]}
        return {"M": {name: self.value(depth + 1) for name in r.sample(NAMES, r.randrange(4))}}

    def number(self):
        r = self.random
        return r.choice(["0", "-0", "1", "-1", "10", "1.50", "1E3", "-2.25e-3", "123456789012345678901234567890",
                         "9.9999999999999999999999999999999999999E+125", "1E-130", str(r.randrange(-10**9, 10**9))])

    def item(self, table):
        r = self.random
        item = table.key(self.pk(), self.sk(table))
        for name in r.sample(NAMES, r.randrange(len(NAMES))):
            item[name] = self.value()
        if r.random() < 0.5:
            item["count"] = {"N": str(r.randrange(100))}
        if r.random() < 0.25:
            item["body"] = {"S": r.choice("abc") * r.choice([100, 1500, 3000, 9000, 40000, 200000, 395000])}
        return item

    def condition(self, item, expression, depth=0):
        """(text, does it hold for `item`)"""
        r, item = self.random, item or {}
        kind = r.randrange(9 if depth < 3 else 6)
        name = r.choice(NAMES)
        there = item.get(name)
        if kind == 0:
            return f"attribute_exists({expression.name(name)})", there is not None
        if kind == 1:
            return f"attribute_not_exists({expression.name(name)})", there is None
        if kind == 2:
            of = r.choice(["S", "N", "L", "M", "SS", "BOOL"])
            return f"attribute_type({expression.name(name)}, {expression.value({'S': of})})", \
                there is not None and of in there
        if kind in (3, 4):
            operand = r.choice([there, self.value()]) if there else self.value()
            operator = r.choice(["=", "<>", "<", "<=", ">", ">="])
            (of, _), = operand.items()
            if operator not in ("=", "<>") and of not in ("S", "N"):
                operator = "="
            return f"{expression.name(name)} {operator} {expression.value(operand)}", compare(operator, there, operand)
        if kind == 5:
            few = sorted(r.sample(range(100), 2))
            low, high = ({"N": str(n)} for n in few)
            return f"{expression.name('count')} BETWEEN {expression.value(low)} AND {expression.value(high)}", \
                compare(">=", item.get("count"), low) and compare("<=", item.get("count"), high)
        left, left_holds = self.condition(item, expression, depth + 1)
        if kind == 6:
            return f"NOT ({left})", not left_holds
        right, right_holds = self.condition(item, expression, depth + 1)
        if kind == 7:
            return f"({left}) AND ({right})", left_holds and right_holds
        return f"({left}) OR ({right})", left_holds or right_holds

    # ---- Steps ----

    def write(self, operation, table, members, before, after, condition):
        """Send a write that is to make `after` of `before`, or to be refused."""
        key = table.key(*self.last_key)
        text, holds, expression = condition
        if text:
            members["ConditionExpression"] = text
        members.update(expression.members())
        values = members.get("ReturnValues", "NONE")
        if not holds:
            members["ReturnValuesOnConditionCheckFailure"] = self.random.choice(["NONE", "ALL_OLD"])
            with pytest.raises(Refused) as refused:
                self.server.call(operation, TableName=table.name, **members)
            assert refused.value.type == "ConditionalCheckFailedException", (refused.value, members)
            return
        answer = self.server.call(operation, TableName=table.name, **members)
        expected = {"NONE": None, "ALL_OLD": before, "ALL_NEW": after}[values]
        assert canonical_item(answer.get("Attributes")) == canonical_item(expected), (operation, members)
        if after is None:
            table.items.pop(table.place(key), None)
        else:
            table.items[table.place(key)] = after

    def chosen(self, table, key):
        """Remember the key of this step; what is there."""
        self.last_key = key["pk"]["S"], key["sk"][table.sort_kind]
        return table.items.get(table.place(key))

    def maybe_condition(self, before, expression):
        if self.random.random() < 0.5:
            return None, True, expression
        return *self.condition(before, expression), expression

    def put(self, table):
        item = self.item(table)
        before = self.chosen(table, item)
        self.write("PutItem", table, {"Item": item, "ReturnValues": self.random.choice(["NONE", "ALL_OLD"])},
                   before, item, self.maybe_condition(before, Expression()))

    def delete(self, table):
        key = self.some_key(table)
        before = self.chosen(table, key)
        self.write("DeleteItem", table, {"Key": key, "ReturnValues": self.random.choice(["NONE", "ALL_OLD"])},
                   before, None, self.maybe_condition(before, Expression()))

    def update(self, table):
        r, expression = self.random, Expression()
        key = self.some_key(table)
        before = self.chosen(table, key)
        condition = self.maybe_condition(before, expression)
        after = dict(before) if before else dict(key)
        names = r.sample(["a", "b", "c", "map", "body"], r.randrange(1, 4))
        sets, removes, adds = [], [], []
        for name in names:
            what = r.randrange(4)
            if what == 0:
                removes.append(expression.name(name))
                after.pop(name, None)
            elif what == 1:
                default = self.value()
                sets.append(f"{expression.name(name)} = if_not_exists({expression.name(name)}, "
                            f"{expression.value(default)})")
                after[name] = (before or {}).get(name, default)
            else:
                value = self.value() if name != "body" else {"S": "u" * r.choice([10, 5000, 100000])}
                sets.append(f"{expression.name(name)} = {expression.value(value)}")
                after[name] = value
        count = (before or {}).get("count")
        if count is None or ("N" in count and abs(Decimal(count["N"])) < 10**12):
            if count is None or abs(Decimal(count["N"])) > 10**-9 or Decimal(count["N"]) == 0:
                step = r.randrange(-10, 100)
                adds.append(f"{expression.name('count')} {expression.value({'N': str(step)})}")
                after["count"] = {"N": number_text(Decimal((count or {"N": "0"})["N"]) + step)}
        text = " ".join(word + " " + ", ".join(parts)
                        for word, parts in (("SET", sets), ("REMOVE", removes), ("ADD", adds)) if parts)
        self.write("UpdateItem", table, {"Key": key, "UpdateExpression": text,
                                         "ReturnValues": r.choice(["NONE", "ALL_OLD", "ALL_NEW"])},
                   before, after, condition)

    def some_key(self, table):
        if table.items and self.random.random() < 0.7:
            pk, sk = self.random.choice(list(table.items))
            return table.key(pk, number_text(sk) if table.sort_kind == "N" else sk)
        return table.key(self.pk(), self.sk(table))

    def get(self, table):
        key = self.some_key(table)
        there = self.chosen(table, key)
        more, expected = {}, there
        if self.random.random() < 0.3:
            expression = Expression()
            names = self.random.sample(NAMES + ["pk"], 3)
            more = {"ProjectionExpression": ", ".join(expression.name(n) for n in names), **expression.members()}
            expected = there and {n: there[n] for n in names if n in there}
        answer = self.server.call("GetItem", TableName=table.name, Key=key, ConsistentRead=True, **more)
        assert canonical_item(answer.get("Item")) == canonical_item(expected), key

    def query(self, table):
        r, expression = self.random, Expression()
        pk = r.choice(list(table.items))[0] if table.items and r.random() < 0.8 else self.pk()
        text = f"{expression.name('pk')} = {expression.value({'S': pk})}"
        places = [p for p in table.items if p[0] == pk]
        kind = r.randrange(5)
        if kind == 1:
            operator, bound = r.choice(["=", "<", "<=", ">", ">="]), {table.sort_kind: self.sk(table)}
            text += f" AND {expression.name('sk')} {operator} {expression.value(bound)}"
            places = [p for p in places if compare(operator, self.of(table, p), bound)]
        elif kind == 2:
            bounds = [self.sk(table), self.sk(table)]
            bounds.sort(key=Decimal if table.sort_kind == "N" else str.encode)
            low, high = ({table.sort_kind: bound} for bound in bounds)
            text += f" AND {expression.name('sk')} BETWEEN {expression.value(low)} AND {expression.value(high)}"
            places = [p for p in places if compare(">=", self.of(table, p), low) and
                      compare("<=", self.of(table, p), high)]
        elif kind == 3 and table.sort_kind == "S":
            prefix = r.choice(["s", "s0", "\x00", "\x00\x00", "\U0010ffff", "a"])
            text += f" AND begins_with({expression.name('sk')}, {expression.value({'S': prefix})})"
            places = [p for p in places if p[1].startswith(prefix)]
        forward = r.random() < 0.5
        places.sort(key=table.order, reverse=not forward)
        expected = [table.items[p] for p in places]
        members = {"KeyConditionExpression": text, "ScanIndexForward": forward}
        more, left = self.filter(expected, expression)
        self.same(self.read("Query", table, {**members, **more}, expression), left, table, ordered=True)

    def of(self, table, place):
        return table.items[place]["sk"]

    def scan(self, table):
        segments = self.random.choice([1, 1, 2, 5])
        found = []
        expression = Expression()
        expected = list(table.items.values())
        filtered = self.filter(expected, expression)
        for segment in range(segments):
            members = {"TotalSegments": segments, "Segment": segment, **filtered[0]}
            found += self.read("Scan", table, members, expression)
        self.same(found, filtered[1], table, ordered=False)

    def filter(self, expected, expression):
        """Members for a filter, and what it leaves."""
        if self.random.random() < 0.6:
            return {}, expected
        few = {"N": str(self.random.randrange(100))}
        name = self.random.choice(NAMES)
        text = f"{expression.name('count')} < {expression.value(few)} OR attribute_exists({expression.name(name)})"
        return {"FilterExpression": text}, \
            [i for i in expected if compare("<", i.get("count"), few) or name in i]

    def read(self, operation, table, members, expression):
        """All pages, each within its bounds."""
        found, limit = [], self.random.choice([None, None, 1, 3, 50])
        start = {}
        while True:
            page = self.server.call(operation, TableName=table.name, ConsistentRead=True, **members,
                                    **expression.members(), **start, **({"Limit": limit} if limit else {}))
            assert page["Count"] == len(page["Items"]) <= page["ScannedCount"] <= (limit or 10**9)
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                return found
            assert page["ScannedCount"] > 0
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    @staticmethod
    def same(found, expected, table, ordered):
        found, expected = [canonical_item(i) for i in found], [canonical_item(i) for i in expected]
        if not ordered:
            found.sort(key=lambda item: repr(table.place(item)))
            expected.sort(key=lambda item: repr(table.place(item)))
        assert found == expected, table.name

    def batch_write(self, table):
        requests, places = [], {}
        for _ in range(self.random.randrange(1, 26)):
            if self.random.random() < 0.6:
                item = self.item(table)
                key, request = {k: item[k] for k in ("pk", "sk")}, {"PutRequest": {"Item": item}}
            else:
                key, item = self.some_key(table), None
                request = {"DeleteRequest": {"Key": key}}
            if table.place(key) not in places:
                places[table.place(key)] = item
                requests.append(request)
        answer = self.server.call("BatchWriteItem", RequestItems={table.name: requests})
        assert not answer["UnprocessedItems"]
        for place, item in places.items():
            if item is None:
                table.items.pop(place, None)
            else:
                table.items[place] = item

    def batch_get(self, table):
        keys = {table.place(key): key for key in (self.some_key(table) for _ in range(self.random.randrange(1, 40)))}
        expected = [table.items[place] for place in keys if place in table.items]
        found, request = [], {table.name: {"Keys": list(keys.values()), "ConsistentRead": True}}
        while request:
            answer = self.server.call("BatchGetItem", RequestItems=request)
            found += answer["Responses"].get(table.name, [])
            request = answer["UnprocessedKeys"]
        self.same(found, expected, table, ordered=False)

    def empty(self, table):
        """Delete the table and make it anew."""
        self.server.call("DeleteTable", TableName=table.name)
        eventually(lambda: self.gone(table), f"{table.name} stays")
        self.create(table)
        table.items.clear()

    def gone(self, table):
        try:
            self.server.call("DescribeTable", TableName=table.name)
        except Refused as refused:
            return refused.type == "ResourceNotFoundException"
        return False

    def restart(self, _):
        if self.random.random() < 0.5:
            self.server.stop()
        else:
            self.server.kill()
        self.server = self.start(*self.options)

    def run(self, steps):
        choices = [(self.put, 30), (self.update, 25), (self.delete, 8), (self.get, 15), (self.query, 10),
                   (self.scan, 3), (self.batch_write, 4), (self.batch_get, 4), (self.empty, 0.3)]
        if "--in-memory" not in self.options:
            choices.append((self.restart, 1))
        functions, weights = zip(*choices)
        for _ in range(steps):
            step, = self.random.choices(functions, weights)
            step(self.random.choice(self.tables))
        for table in self.tables:
            self.scan(table)


@pytest.mark.parametrize("options", [("--cache", 2, "--on-demand-partitions", 3), ("--in-memory",)],
                         ids=["small-cache", "in-memory"])
def test_every_answer_is_that_of_a_plain_model(start, options):
    print(f"HAMMER_SEED={SEED} HAMMER_STEPS={STEPS}")
    hammer = Hammer(start, options, SEED)
    hammer.run(STEPS)
