// dynamoose: models that create their own table.

import dynamoose from "dynamoose";
import { assert, endpoint, eventually, tableName } from "./common.mjs";

const name = tableName("dynamoose");
dynamoose.aws.ddb.set(new dynamoose.aws.ddb.DynamoDB({
  endpoint, region: "us-east-1", credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" }, maxAttempts: 1,
}));
const Order = dynamoose.model("Order", new dynamoose.Schema({
  customer: { type: String, hashKey: true },
  number: { type: String, rangeKey: true },
  date: { type: String, index: { name: "byDate", type: "local" } },
  status: { type: String, enum: ["new", "paid", "sent"], default: "new" },
  total: Number,
  product: { type: String, index: { name: "global", type: "global", rangeKey: "number" } },
  placed: Date,
  tags: { type: Set, schema: [String] },
  lines: { type: Array, schema: [{ type: Object, schema: { sku: String, count: Number } }] },
}, { timestamps: true }));
const key = { customer: "1", number: "001" };

// Create: the table is made by the model's first use.
new dynamoose.Table(name, [Order], {
  throughput: "ON_DEMAND", waitForActive: { enabled: true, check: { timeout: 20000, frequency: 100 } }, create: true,
});

// Write.
const placed = new Date("2026-11-01T12:00:00Z");
await Order.create({ ...key, date: "2026-11-01", total: 10, placed, tags: new Set(["gift"]), lines: [{ sku: "a", count: 1 }] });
const order = await Order.get(key, { consistent: true });
assert.deepEqual([order.status, order.placed, order.tags, order.lines], ["new", placed, new Set(["gift"]), [{ sku: "a", count: 1 }]]);
order.status = "paid";
await order.save();
const updated = await Order.update(key, { $ADD: { total: 5 }, $SET: { date: "2026-11-02" }, $REMOVE: ["placed"] });
assert.deepEqual([updated.status, updated.total, updated.date, updated.placed], ["paid", 15, "2026-11-02", undefined]);

// Conditional failure.
const failed = { name: "ConditionalCheckFailedException", message: "The conditional request failed" };
await assert.rejects(Order.create({ ...key, total: 1 }), failed);
await assert.rejects(Order.update(key, { status: "sent" }, { condition: new dynamoose.Condition().where("total").gt(100) }), failed);
await assert.rejects(Order.delete(key, { condition: new dynamoose.Condition().where("total").not().exists() }), failed);

// Batches.
const orders = [...Array(25).keys()].map((n) => ({
  customer: "2", number: String(n).padStart(3, "0"), date: `2026-12-${String(30 - n).padStart(2, "0")}`, total: n, product: `p${n % 3}`,
}));
assert.deepEqual((await Order.batchPut(orders)).unprocessedItems, []);
assert.equal((await Order.batchGet(orders.slice(0, 3).map(({ customer, number }) => ({ customer, number })))).length, 3);

// Query a table and an index, and paginate.
const numbers = orders.map(({ number }) => number);
const found = [];
let lastKey;
do {
  const query = Order.query("customer").eq("2").limit(7);
  const page = await (lastKey ? query.startAt(lastKey) : query).exec();
  found.push(...page.map(({ number }) => number));
  lastKey = page.lastKey;
} while (lastKey);
assert.deepEqual(found, numbers);
const byDate = await Order.query("customer").eq("2").where("date").between("2026-12-10", "2026-12-15").using("byDate").exec();
assert.deepEqual(byDate.map(({ number }) => number), numbers.slice(15, 21).reverse());
const cheap = await Order.query("customer").eq("2").using("byDate").filter("total").lt(3).sort("descending").all().exec();
assert.deepEqual(cheap.map(({ number }) => number), ["000", "001", "002"]);
await eventually(async () => {
  const found = await Order.query("product").eq("p1").where("number").gt("010").using("global").limit(3).all().exec();
  return found.map(({ number }) => number);
}, numbers.filter((_, n) => n % 3 === 1 && n > 10));
assert.equal((await Order.query("customer").eq("2").count().exec()).count, 25);
assert.equal((await Order.scan().all().limit(10).exec()).length, 26);

// Transact.
const transact = () => dynamoose.transaction([
  Order.transaction.update(key, { $ADD: { total: 100 } }, { condition: new dynamoose.Condition().where("total").lt(100) }),
  Order.transaction.create({ customer: "3", number: "001", total: 3 }),
  Order.transaction.condition({ customer: "2", number: "000" }, new dynamoose.Condition().where("total").exists()),
]);
await transact();
await assert.rejects(transact(), (error) => error.name === "TransactionCanceledException" &&
  error.CancellationReasons.map(({ Code }) => Code).join() === "ConditionalCheckFailed,ConditionalCheckFailed,None");
const together = await dynamoose.transaction([Order.transaction.get(key), Order.transaction.get({ customer: "3", number: "001" })]);
assert.deepEqual(together.map(({ total }) => total), [115, 3]);
await Order.delete({ customer: "3", number: "001" });

// Delete.
await Order.delete(key);
assert.equal(await Order.get(key), undefined);
await Order.batchDelete(orders.map(({ customer, number }) => ({ customer, number })));
assert.equal((await Order.scan().exec()).length, 0);
await dynamoose.aws.ddb().deleteTable({ TableName: name });
console.log("ok");
