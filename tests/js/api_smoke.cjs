// The common operations through the JS SDK v3, at the endpoint that is the first argument.  Prints "ok" at the end.

"use strict";

const assert = require("assert");
const dynamodb = require("@aws-sdk/client-dynamodb");

const client = new dynamodb.DynamoDBClient({
  endpoint: process.argv[2],
  region: "us-east-1",
  credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
  maxAttempts: 1,
});
const send = (operation, input) => client.send(new dynamodb[`${operation}Command`](input));

async function main() {
  const TableName = `js-${process.pid}`;
  const created = await send("CreateTable", {
    TableName,
    AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }, { AttributeName: "sk", AttributeType: "N" }],
    KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }, { AttributeName: "sk", KeyType: "RANGE" }],
    BillingMode: "PAY_PER_REQUEST",
  });
  assert(created.TableDescription.CreationDateTime instanceof Date);
  await dynamodb.waitUntilTableExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName });

  const item = { pk: { S: "a" }, sk: { N: "1" }, b: { B: new Uint8Array([0, 255]) }, s: { SS: ["x", "y"] }, n: { NULL: true } };
  await send("PutItem", { TableName, Item: item });
  const got = await send("GetItem", { TableName, Key: { pk: item.pk, sk: item.sk }, ReturnConsumedCapacity: "TOTAL" });
  assert.deepStrictEqual(got.Item, item);
  assert.strictEqual(got.ConsumedCapacity.CapacityUnits, 0.5);

  await assert.rejects(
    send("PutItem", { TableName, Item: item, ConditionExpression: "attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure: "ALL_OLD" }),
    (error) => error instanceof dynamodb.ConditionalCheckFailedException && error.Item.pk.S === "a" && error.message === "The conditional request failed");
  await assert.rejects(send("GetItem", { TableName: "no-such-table", Key: { pk: item.pk } }), dynamodb.ResourceNotFoundException);
  await assert.rejects(send("GetItem", {}), (error) => error.name === "ValidationException" && /^2 validation errors detected/.test(error.message));

  await send("BatchWriteItem", {
    RequestItems: { [TableName]: [...Array(20).keys()].map((n) => ({ PutRequest: { Item: { pk: { S: "b" }, sk: { N: `${n}` } } } })) },
  });
  let count = 0;
  const pages = dynamodb.paginateQuery({ client, pageSize: 6 }, {
    TableName, KeyConditionExpression: "pk = :p", ExpressionAttributeValues: { ":p": { S: "b" } },
  });
  for await (const page of pages) count += page.Count;
  assert.strictEqual(count, 20);
  const updated = await send("UpdateItem", {
    TableName, Key: { pk: item.pk, sk: item.sk }, UpdateExpression: "ADD hits :one", ExpressionAttributeValues: { ":one": { N: "1" } },
    ReturnValues: "UPDATED_NEW",
  });
  assert.deepStrictEqual(updated.Attributes, { hits: { N: "1" } });
  assert.strictEqual((await send("Scan", { TableName, Select: "COUNT" })).Count, 21);
  await send("DeleteTable", { TableName });
  console.log("ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
