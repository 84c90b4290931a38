// dynamodb-toolbox: an entity with a schema in a table that it shares.

import { CreateTableCommand, DeleteTableCommand, waitUntilTableExists } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import {
  $add, $append, BatchGetCommand, BatchGetRequest, BatchPutRequest, BatchWriteCommand, ConditionCheck, DeleteItemCommand, Entity, GetItemCommand, GetTransaction,
  PutItemCommand, PutTransaction, UpdateTransaction, executeTransactGet, executeTransactWrite, isTransactionCancelled,
  QueryCommand, ScanCommand, Table, UpdateItemCommand, executeBatchGet, executeBatchWrite, isConditionCheckFailed, item, list, map, number, prefix, set, string,
} from "dynamodb-toolbox";
import { assert, client, eventually, tableDefinition, tableName } from "./common.mjs";

const name = tableName("toolbox");
const table = new Table({
  name,
  documentClient: DynamoDBDocumentClient.from(client),
  partitionKey: { name: "pk", type: "string" },
  sortKey: { name: "sk", type: "string" },
  indexes: {
    byDate: { type: "local", sortKey: { name: "date", type: "string" } },
    global: { type: "global", partitionKey: { name: "gpk", type: "string" }, sortKey: { name: "gsk", type: "string" } },
  },
  entityAttributeSavedAs: "_et",
});
const Order = new Entity({
  name: "Order",
  table,
  schema: item({
    customer: string().key().savedAs("pk").transform(prefix("customer")),
    number: string().key().savedAs("sk"),
    date: string(),
    status: string().enum("new", "paid", "sent").default("new"),
    total: number(),
    product: string().optional().savedAs("gpk"),
    place: string().optional().savedAs("gsk"),
    tags: set(string()).optional(),
    lines: list(map({ sku: string(), count: number() })).default([]),
  }),
});
const key = { customer: "1", number: "001" };
const get = async (of = key) => (await Order.build(GetItemCommand).key(of).options({ consistent: true }).send()).Item;

// Create.
await client.send(new CreateTableCommand(tableDefinition(name)));
await waitUntilTableExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName: name });

// Write.
await Order.build(PutItemCommand).item({ ...key, date: "2026-11-01", total: 10, tags: new Set(["gift"]) }).send();
const { created, modified, entity, ...put } = await get();
assert.deepEqual(put, { ...key, date: "2026-11-01", total: 10, tags: new Set(["gift"]), status: "new", lines: [] });
assert(created <= modified);
const updated = await Order.build(UpdateItemCommand)
  .item({ ...key, total: $add(5), lines: $append([{ sku: "a", count: 2 }]), status: "paid", tags: $add(new Set(["seen"])) })
  .options({ returnValues: "ALL_NEW" }).send();
assert.deepEqual([updated.Attributes.total, updated.Attributes.lines, updated.Attributes.status], [15, [{ sku: "a", count: 2 }], "paid"]);

// Conditional failure.
await assert.rejects(
  Order.build(PutItemCommand).item({ ...key, date: "2026-11-02", total: 1 }).options({ condition: { attr: "customer", exists: false } }).send(),
  (error) => isConditionCheckFailed(error));
await assert.rejects(
  Order.build(UpdateItemCommand).item({ ...key, status: "sent" }).options({ condition: { attr: "total", gt: 100 } }).send(), isConditionCheckFailed);

// Batches.
const orders = [...Array(20).keys()].map((n) => ({
  customer: "2", number: String(n).padStart(3, "0"), date: `2026-12-${30 - n}`, total: n, product: `p${n % 3}`, place: String(n).padStart(3, "0"),
}));
await executeBatchWrite(table.build(BatchWriteCommand).requests(...orders.map((order) => Order.build(BatchPutRequest).item(order))));
const { Responses } = await executeBatchGet(table.build(BatchGetCommand).requests(
  ...orders.slice(0, 2).map(({ customer, number }) => Order.build(BatchGetRequest).key({ customer, number }))));
assert.deepEqual(Responses[0].map(({ total }) => total), [0, 1]);

// Query a table and an index, and paginate.
async function pages(query, options) {
  const found = [];
  let exclusiveStartKey;
  do {
    const page = await table.build(QueryCommand).entities(Order).query(query).options({ ...options, exclusiveStartKey }).send();
    found.push(...page.Items.map((order) => order.number));
    exclusiveStartKey = page.LastEvaluatedKey;
  } while (exclusiveStartKey !== undefined);
  return found;
}
const numbers = orders.map(({ number }) => number);
assert.deepEqual(await pages({ partition: "customer#2" }, { limit: 6 }), numbers);
assert.deepEqual(await pages({ partition: "customer#2", range: { gte: "010" } }, { reverse: true }), numbers.slice(10).reverse());
assert.deepEqual(await pages({ index: "byDate", partition: "customer#2", range: { between: ["2026-12-15", "2026-12-20"] } }, { limit: 4 }),
  numbers.slice(10, 16).reverse());
assert.deepEqual(await pages({ index: "byDate", partition: "customer#2" }, { filters: { Order: { attr: "total", lt: 3 } } }), ["002", "001", "000"]);
await eventually(() => pages({ index: "global", partition: "p1", range: { gt: "004" } }, { limit: 2 }),
  numbers.filter((_, n) => n % 3 === 1 && n > 4));
const { Items } = await table.build(ScanCommand).entities(Order).options({ maxPages: Infinity, limit: 9 }).send();
assert.equal(Items.length, 21);

// Transact.
const transact = () => executeTransactWrite(
  Order.build(UpdateTransaction).item({ ...key, total: $add(100) }).options({ condition: { attr: "total", lt: 100 } }),
  Order.build(PutTransaction).item({ customer: "3", number: "001", date: "2026-12-01", total: 3 }),
  Order.build(ConditionCheck).key({ customer: "2", number: "000" }).condition({ attr: "total", exists: true }));
await transact();
await assert.rejects(transact(), (error) => isTransactionCancelled(error) && error.CancellationReasons.map(({ Code }) => Code).join() === "ConditionalCheckFailed,None,None");
const got = await executeTransactGet(Order.build(GetTransaction).key(key), Order.build(GetTransaction).key({ customer: "3", number: "001" }));
assert.deepEqual(got.Responses.map(({ Item }) => Item.total), [115, 3]);
await Order.build(DeleteItemCommand).key({ customer: "3", number: "001" }).send();

// Delete.
await Order.build(DeleteItemCommand).key(key).send();
assert.equal(await get(), undefined);
await client.send(new DeleteTableCommand({ TableName: name }));
console.log("ok");
