// @aws-sdk/lib-dynamodb: documents of JavaScript's own types.

import * as dynamodb from "@aws-sdk/client-dynamodb";
import {
  BatchExecuteStatementCommand, BatchGetCommand, BatchWriteCommand, DeleteCommand, DynamoDBDocumentClient, ExecuteStatementCommand, ExecuteTransactionCommand, GetCommand,
  NumberValue, PutCommand, QueryCommand, ScanCommand, TransactGetCommand, TransactWriteCommand, UpdateCommand, paginateQuery, paginateScan,
} from "@aws-sdk/lib-dynamodb";
import { assert, client, eventually, newClient, tableDefinition, tableName } from "./common.mjs";

const TableName = tableName("lib");
const documents = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });
const send = (Command, input) => documents.send(new Command({ TableName, ...input }));

// Create.
await client.send(new dynamodb.CreateTableCommand(tableDefinition(TableName)));
await dynamodb.waitUntilTableExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName });

// Write and read: every type.
const order = {
  pk: "customer#1", sk: "order#001", date: "2026-11-01", total: 12.5, paid: true, note: null, tags: new Set(["new", "gift"]),
  sizes: new Set([1, 2.5]), photo: new Uint8Array([0, 255]), lines: [{ sku: "a", count: 2 }, { sku: "b", count: 1 }], address: { city: "Ulm", zip: [] },
};
await send(PutCommand, { Item: { ...order, absent: undefined } });
assert.deepEqual((await send(GetCommand, { Key: { pk: order.pk, sk: order.sk }, ConsistentRead: true })).Item, order);
const exact = NumberValue.from("12345678901234567890123456789012345678");
await send(PutCommand, { Item: { pk: "big", sk: "n", exact } });
const wrapping = DynamoDBDocumentClient.from(newClient(), { unmarshallOptions: { wrapNumbers: true } });
assert.equal((await wrapping.send(new GetCommand({ TableName, Key: { pk: "big", sk: "n" } }))).Item.exact.toString(), exact.toString());
const updated = await send(UpdateCommand, {
  Key: { pk: order.pk, sk: order.sk }, UpdateExpression: "SET #total = #total + :more, address.street = :street ADD tags :tags REMOVE note",
  ExpressionAttributeNames: { "#total": "total" }, ExpressionAttributeValues: { ":more": 7.5, ":street": "Weg 1", ":tags": new Set(["seen"]) },
  ReturnValues: "ALL_NEW",
});
assert.deepEqual(updated.Attributes.tags, new Set(["gift", "new", "seen"]));
assert.deepEqual([updated.Attributes.total, updated.Attributes.address.street, "note" in updated.Attributes], [20, "Weg 1", false]);

// Conditional failure.
await assert.rejects(
  send(PutCommand, { Item: order, ConditionExpression: "attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure: "ALL_OLD" }),
  (error) => error instanceof dynamodb.ConditionalCheckFailedException && error.name === "ConditionalCheckFailedException" &&
    error.Item.pk.S === order.pk);

// Batches.
const orders = [...Array(25).keys()].map((n) => ({
  pk: "customer#2", sk: `order#${String(n).padStart(3, "0")}`, date: `2026-12-${String(31 - n).padStart(2, "0")}`, total: n,
  gpk: `product#${n % 3}`, gsk: String(n).padStart(3, "0"),
}));
const written = await documents.send(new BatchWriteCommand({ RequestItems: { [TableName]: orders.map((Item) => ({ PutRequest: { Item } })) } }));
assert.deepEqual(written.UnprocessedItems, {});
const fetched = await documents.send(new BatchGetCommand({ RequestItems: { [TableName]: { Keys: orders.slice(0, 3).map(({ pk, sk }) => ({ pk, sk })) } } }));
assert.equal(fetched.Responses[TableName].length, 3);

// Query a table and an index, and paginate.
// A paginator leaves the last start key in its input: each gets one of its own.
const ofCustomer = () => ({ TableName, KeyConditionExpression: "pk = :pk", ExpressionAttributeValues: { ":pk": "customer#2" } });
const seen = [];
for await (const page of paginateQuery({ client: documents, pageSize: 7 }, ofCustomer())) {
  assert(page.Items.length <= 7);
  seen.push(...page.Items);
}
assert.deepEqual(seen, orders);
const byDate = [];
for await (const page of paginateQuery({ client: documents, pageSize: 10 }, { ...ofCustomer(), IndexName: "byDate", ConsistentRead: true })) byDate.push(...page.Items);
assert.deepEqual(byDate, [...orders].reverse());
const late = await send(QueryCommand, {
  IndexName: "byDate", KeyConditionExpression: "pk = :pk AND #date > :date", FilterExpression: "#total > :total",
  ExpressionAttributeNames: { "#date": "date", "#total": "total" }, ExpressionAttributeValues: { ":pk": "customer#2", ":date": "2026-12-20", ":total": 5 },
});
assert.deepEqual([late.Count, late.ScannedCount], [5, 11]);
await eventually(async () => {
  const found = [];
  for await (const page of paginateQuery({ client: documents, pageSize: 3 }, {
    TableName, IndexName: "global", KeyConditionExpression: "gpk = :gpk AND gsk >= :gsk", ExpressionAttributeValues: { ":gpk": "product#1", ":gsk": "010" },
  })) found.push(...page.Items);
  return found;
}, orders.filter((_, n) => n % 3 === 1 && n >= 10));
let scanned = 0;
for await (const page of paginateScan({ client: documents, pageSize: 8 }, { TableName })) scanned += page.Count;
assert.equal(scanned, 27);
assert.equal((await send(ScanCommand, { Select: "COUNT", FilterExpression: "attribute_exists(tags)" })).Count, 1);

// PartiQL.
const selected = await documents.send(new ExecuteStatementCommand({
  Statement: `SELECT * FROM "${TableName}"."byDate" WHERE pk = ? AND "date" >= ?`, Parameters: ["customer#2", "2026-12-30"],
}));
assert.deepEqual(selected.Items, [orders[1], orders[0]]);
const batched = await documents.send(new BatchExecuteStatementCommand({
  Statements: [{ Statement: `SELECT total FROM "${TableName}" WHERE pk = ? AND sk = ?`, Parameters: ["customer#2", "order#004"] }],
}));
assert.deepEqual(batched.Responses[0].Item, { total: 4 });

// Transact.
const [first, second] = orders.map(({ pk, sk }) => ({ pk, sk }));
const move = (amount) => documents.send(new TransactWriteCommand({
  TransactItems: [
    { Update: {
      TableName, Key: first, UpdateExpression: "SET #total = #total + :amount", ConditionExpression: "#total < :bound",
      ExpressionAttributeNames: { "#total": "total" }, ExpressionAttributeValues: { ":amount": amount, ":bound": 10 }, ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    } },
    { Put: { TableName, Item: { pk: "moves", sk: `${amount}`, tags: new Set(["x"]) }, ConditionExpression: "attribute_not_exists(pk)" } },
    { ConditionCheck: { TableName, Key: second, ConditionExpression: "attribute_exists(pk)" } },
  ],
}));
await move(20);
await assert.rejects(move(30), (error) => error instanceof dynamodb.TransactionCanceledException && error.CancellationReasons[0].Item.total.N === "20" &&
  error.message === "Transaction cancelled, please refer cancellation reasons for specific reasons [ConditionalCheckFailed, None, None]");
const together = await documents.send(new TransactGetCommand({ TransactItems: [first, { pk: "moves", sk: "20" }, { pk: "moves", sk: "30" }].map((Key) => ({ Get: { TableName, Key } })) }));
assert.deepEqual(together.Responses.map(({ Item }) => Item?.total ?? Item?.tags), [20, new Set(["x"]), undefined]);
await documents.send(new ExecuteTransactionCommand({
  TransactStatements: [
    { Statement: `DELETE FROM "${TableName}" WHERE pk = ? AND sk = ?`, Parameters: ["moves", "20"] },
    { Statement: `EXISTS(SELECT * FROM "${TableName}" WHERE pk = ? AND sk = ? AND total = ?)`, Parameters: [first.pk, first.sk, 20] },
  ],
}));

// Delete.
assert.deepEqual((await send(DeleteCommand, { Key: { pk: "big", sk: "n" }, ReturnValues: "ALL_OLD" })).Attributes.pk, "big");
assert.equal((await send(GetCommand, { Key: { pk: "big", sk: "n" } })).Item, undefined);
await client.send(new dynamodb.DeleteTableCommand({ TableName }));
await dynamodb.waitUntilTableNotExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName });
console.log("ok");
