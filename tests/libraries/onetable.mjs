// dynamodb-onetable: models by templates in one table that the library creates.

import { Dynamo } from "dynamodb-onetable/Dynamo";
import { OneTableError, Table } from "dynamodb-onetable";
import { assert, client, eventually, tableName } from "./common.mjs";

const table = new Table({
  name: tableName("onetable"),
  client: new Dynamo({ client }),
  partial: true,
  schema: {
    format: "onetable:1.1.0",
    version: "0.0.1",
    indexes: { primary: { hash: "pk", sort: "sk" }, byDate: { sort: "date", type: "local", project: "all" }, global: { hash: "gpk", sort: "gsk", project: "all" } },
    params: { isoDates: true, timestamps: true },
    models: {
      Order: {
        pk: { type: String, value: "customer:${customer}" },
        sk: { type: String, value: "order:${number}" },
        customer: { type: String, required: true },
        number: { type: String, required: true },
        date: { type: String, required: true },
        status: { type: String, enum: ["new", "paid", "sent"], default: "new" },
        total: { type: Number },
        product: { type: String },
        gpk: { type: String, value: "product:${product}" },
        gsk: { type: String, value: "order:${number}" },
        placed: { type: Date },
        tags: { type: Set },
        address: { type: Object, schema: { city: { type: String }, zip: { type: String } } },
      },
    },
  },
});
const Order = table.getModel("Order");
const key = { customer: "1", number: "001" };

// Create.
await table.createTable();
assert.equal(await table.exists(), true);

// Write.
const placed = new Date("2026-11-01T12:00:00Z");
const made = await Order.create({ ...key, date: "2026-11-01", total: 10, placed, tags: new Set(["gift"]), address: { city: "Ulm", zip: "89073" } });
assert.equal(made.status, "new");
const order = await Order.get(key, { consistent: true });
assert.deepEqual([order.placed, order.tags, order.address], [placed, new Set(["gift"]), { city: "Ulm", zip: "89073" }]);
const updated = await Order.update({ ...key, status: "paid", address: { zip: "89077" } }, { add: { total: 5 }, remove: ["placed"] });
assert.deepEqual([updated.status, updated.total, updated.placed, updated.address], ["paid", 15, undefined, { city: "Ulm", zip: "89077" }]);

// Conditional failure.
await assert.rejects(Order.create({ ...key, date: "2026-11-01" }), (error) => error instanceof OneTableError && error.code === "UniqueError" ||
  /ConditionalCheckFailed|already exists|Cannot create/.test(`${error.code} ${error.message}`));
await assert.rejects(Order.update({ ...key, status: "sent" }, { where: "${total} > {100}" }), (error) =>
  /ConditionalCheckFailed/.test(`${error.code} ${error.name} ${error.context?.err?.name} ${error.message}`));
await assert.rejects(Order.update({ customer: "1", number: "none", status: "sent" }), OneTableError);

// Batches.
const orders = [...Array(20).keys()].map((n) => ({
  customer: "2", number: String(n).padStart(3, "0"), date: `2026-12-${30 - n}`, total: n, product: `p${n % 3}`,
}));
const batch = {};
for (const one of orders) await Order.create(one, { batch });
assert.equal(await table.batchWrite(batch), true);
const gets = {};
for (const { customer, number } of orders.slice(0, 3)) await Order.get({ customer, number }, { batch: gets });
assert.equal((await table.batchGet(gets, { parse: true, hidden: false })).length, 3);

// Query a table and an index, and paginate.
const numbers = orders.map(({ number }) => number);
const found = [];
let next;
do {
  const page = await Order.find({ customer: "2" }, { limit: 6, next });
  found.push(...page.map(({ number }) => number));
  next = page.next;
} while (next);
assert.deepEqual(found, numbers);
const byDate = await Order.find({ pk: "customer:2", date: { between: ["2026-12-15", "2026-12-20"] } }, { index: "byDate" });
assert.deepEqual(byDate.map(({ number }) => number), numbers.slice(10, 16).reverse());
const cheap = await Order.find({ customer: "2" }, { where: "${total} < {3}", reverse: true });
assert.deepEqual(cheap.map(({ number }) => number), ["002", "001", "000"]);
assert.equal((await Order.find({ customer: "2" }, { count: true })).count, 20);
await eventually(async () => (await Order.find({ product: "p1", gsk: { ">": "order:004" } }, { index: "global" })).map(({ number }) => number),
  numbers.filter((_, n) => n % 3 === 1 && n > 4));
assert.equal((await Order.scan({}, { limit: 100 })).length, 21);

// Transact.
async function transact(total) {
  const transaction = {};
  await Order.update({ ...key }, { add: { total }, where: "${total} < {100}", transaction });
  await Order.create({ customer: "3", number: "001", date: "2026-12-01", total: 3 }, { transaction });
  return table.transact("write", transaction);
}
await transact(100);
await assert.rejects(transact(1), (error) => /TransactionCanceledException|transaction|Transaction/.test(`${error.code} ${error.name} ${error.message}`));
const reads = {};
await Order.get(key, { transaction: reads });
await Order.get({ customer: "3", number: "001" }, { transaction: reads });
const together = await table.transact("get", reads, { parse: true, hidden: false });
assert.deepEqual(together.map(({ total }) => total), [115, 3]);
await Order.remove({ customer: "3", number: "001" });

// Delete.
await Order.remove(key);
assert.equal(await Order.get(key), undefined);
await table.deleteTable("DeleteTableForever");
console.log("ok");
