// ElectroDB: entities and a service, with keys that are made of attributes.

import { CreateTableCommand, DeleteTableCommand, waitUntilTableExists } from "@aws-sdk/client-dynamodb";
import { Entity, Service } from "electrodb";
import { assert, client, eventually, tableDefinition, tableName } from "./common.mjs";

const table = tableName("electro");
const Order = new Entity({
  model: { entity: "order", version: "1", service: "shop" },
  attributes: {
    customer: { type: "string", required: true },
    order: { type: "string", required: true },
    day: { type: "string", required: true },
    status: { type: ["new", "paid", "sent"], default: "new" },
    total: { type: "number", required: true },
    product: { type: "string" },
    tags: { type: "set", items: "string" },
    lines: { type: "list", items: { type: "map", properties: { sku: { type: "string" }, count: { type: "number" } } } },
    updatedAt: { type: "number", watch: "*", set: () => Date.now(), readOnly: true },
  },
  indexes: {
    orders: { pk: { field: "pk", composite: ["customer"] }, sk: { field: "sk", composite: ["order"] }, collection: "account" },
    byDay: { index: "byDate", pk: { field: "pk", composite: ["customer"] }, sk: { field: "date", composite: ["day"] } },
    byProduct: { index: "global", pk: { field: "gpk", composite: ["product"] }, sk: { field: "gsk", composite: ["order"] } },
  },
}, { client, table });
const Customer = new Entity({
  model: { entity: "customer", version: "1", service: "shop" },
  attributes: { customer: { type: "string", required: true }, name: { type: "string" } },
  indexes: { customers: { pk: { field: "pk", composite: ["customer"] }, sk: { field: "sk", composite: [] }, collection: "account" } },
}, { client, table });
const shop = new Service({ Order, Customer });
const key = { customer: "1", order: "001" };

// Create.
await client.send(new CreateTableCommand(tableDefinition(table)));
await waitUntilTableExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName: table });

// Write.
const { data: made } = await Order.create({ ...key, day: "2026-11-01", total: 10, product: "p9", tags: ["gift"], lines: [{ sku: "a", count: 1 }] }).go();
assert.equal(made.status, "new");
const { data: patched } = await Order.patch(key).add({ total: 5, tags: ["seen"] }).append({ lines: [{ sku: "b", count: 2 }] }).set({ status: "paid" })
  .go({ response: "all_new" });
assert.deepEqual([patched.total, patched.status, patched.tags, patched.lines.length], [15, "paid", ["gift", "seen"], 2]);
assert.deepEqual((await Order.get(key).go({ consistent: true })).data, patched);
const { data: upserted } = await Order.upsert({ ...key, day: "2026-11-02", total: 20, product: "p8" }).go({ response: "all_new" });
assert.deepEqual([upserted.day, upserted.total, upserted.status], ["2026-11-02", 20, "new"]);

// Conditional failure.
const failed = (error) => error.code === 4001 && /The conditional request failed/.test(error.message);
await assert.rejects(Order.create({ ...key, day: "2026-11-01", total: 1, product: "p9" }).go(), failed);
await assert.rejects(Order.patch({ customer: "1", order: "none" }).set({ status: "sent" }).go(), failed);
await assert.rejects(Order.update(key).set({ status: "sent" }).where(({ total }, { gt }) => gt(total, 100)).go(), failed);

// Batches.
const orders = [...Array(30).keys()].map((n) => ({
  customer: "2", order: String(n).padStart(3, "0"), day: `2026-12-${String(30 - n).padStart(2, "0")}`, total: n, product: `p${n % 3}`,
}));
assert.deepEqual((await Order.put(orders).go()).unprocessed, []);
const some = await Order.get(orders.slice(0, 3).map(({ customer, order }) => ({ customer, order }))).go({ preserveBatchOrder: true });
assert.deepEqual(some.data.map(({ total }) => total), [0, 1, 2]);

// Query a table and an index, and paginate.
const numbers = orders.map(({ order }) => order);
const found = [];
let cursor = null;
do {
  const page = await Order.query.orders({ customer: "2" }).go({ cursor, limit: 8 });
  found.push(...page.data.map(({ order }) => order));
  cursor = page.cursor;
} while (cursor !== null);
assert.deepEqual(found, numbers);
const byDay = await Order.query.byDay({ customer: "2" }).between({ day: "2026-12-10" }, { day: "2026-12-15" }).go({ pages: "all", limit: 4 });
assert.deepEqual(byDay.data.map(({ order }) => order), numbers.slice(15, 21).reverse());
const cheap = await Order.query.byDay({ customer: "2" }).where(({ total }, { lt }) => lt(total, 3)).go({ order: "desc" });
assert.deepEqual(cheap.data.map(({ order }) => order), ["000", "001", "002"]);
await eventually(async () => {
  const { data } = await Order.query.byProduct({ product: "p1" }).gt({ order: "010" }).go({ pages: "all", limit: 3 });
  return data.map(({ order }) => order);
}, numbers.filter((_, n) => n % 3 === 1 && n > 10));
assert.equal((await Order.scan.go({ pages: "all", limit: 10 })).data.length, 31);
await Customer.put({ customer: "1", name: "Ada" }).go();
const { data: account } = await shop.collections.account({ customer: "1" }).go();
assert.deepEqual([account.Order.length, account.Customer], [1, [{ customer: "1", name: "Ada" }]]);

// Transact.
const transact = () => shop.transaction.write(({ Order, Customer }) => [
  Order.patch(key).add({ total: 100 }).where(({ total }, { lt }) => lt(total, 100)).commit({ response: "all_old" }),
  Customer.create({ customer: "2", name: "Bob" }).commit(),
]).go();
assert.equal((await transact()).canceled, false);
const cancelled = await transact();
assert.equal(cancelled.canceled, true);
assert.deepEqual(cancelled.data.map(({ rejected, code }) => [rejected, code]), [[true, "ConditionalCheckFailed"], [true, "ConditionalCheckFailed"]]);
const { data: together } = await shop.transaction.get(({ Order, Customer }) => [Order.get(key).commit(), Customer.get({ customer: "2" }).commit()]).go();
assert.deepEqual([together[0].item.total, together[1].item.name], [120, "Bob"]);

// Delete.
assert.equal((await Order.remove(key).go()).data.order, "001");
assert.equal((await Order.get(key).go()).data, null);
await assert.rejects(Order.remove(key).go(), failed);
await client.send(new DeleteTableCommand({ TableName: table }));
console.log("ok");
