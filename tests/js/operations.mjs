// Every operation once, as an application does it, by the JS SDK v3; and what Debian's boto3 is too old to send.
// The endpoint is the first argument.  Prints "ok" and the number of operations at the end.

import assert from "node:assert/strict";
import * as dynamodb from "@aws-sdk/client-dynamodb";

const client = new dynamodb.DynamoDBClient({
  endpoint: process.argv[2],
  region: "us-east-1",
  credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
  maxAttempts: 1,
});
const used = new Set();
const send = (operation, input) => {
  used.add(operation);
  return client.send(new dynamodb[`${operation}Command`](input));
};

const TableName = `every-${process.pid}`;
const key = (pk, sk) => ({ pk: { S: pk }, sk: { N: `${sk}` } });
const active = () => dynamodb.waitUntilTableExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName });

// ---- Tables ----

const created = await send("CreateTable", {
  TableName,
  AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }, { AttributeName: "sk", AttributeType: "N" }],
  KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }, { AttributeName: "sk", KeyType: "RANGE" }],
  ProvisionedThroughput: { ReadCapacityUnits: 5, WriteCapacityUnits: 5 },
  DeletionProtectionEnabled: true,
  Tags: [{ Key: "team", Value: "jazz" }],
});
assert.equal(created.TableDescription.TableStatus, "CREATING");
assert.equal(created.TableDescription.DeletionProtectionEnabled, true);
await active();
const ResourceArn = created.TableDescription.TableArn;
assert.equal(ResourceArn, `arn:aws:dynamodb:us-east-1:000000000000:table/${TableName}`);
assert((await send("ListTables", {})).TableNames.includes(TableName));
const described = (await send("DescribeTable", { TableName: ResourceArn })).Table;
assert.equal(described.TableId, created.TableDescription.TableId);
assert.equal(described.TableStatus, "ACTIVE");

await assert.rejects(send("DeleteTable", { TableName }), (error) =>
  error.name === "ValidationException" && /deletion protection/i.test(error.message));
await send("UpdateTable", { TableName, DeletionProtectionEnabled: false });
await active();
const updated = await send("UpdateTable", { TableName, BillingMode: "PAY_PER_REQUEST" });
assert.equal(updated.TableDescription.TableStatus, "UPDATING");
await active();
assert.equal((await send("DescribeTable", { TableName })).Table.BillingModeSummary.BillingMode, "PAY_PER_REQUEST");

// ---- Items ----

const item = {
  ...key("a", 1), text: { S: "größer" }, number: { N: "-1.5" }, bytes: { B: new Uint8Array([0, 255]) }, yes: { BOOL: true },
  nothing: { NULL: true }, list: { L: [{ N: "1" }, { S: "x" }] }, map: { M: { in: { M: {} } } }, texts: { SS: ["x", "y"] },
  numbers: { NS: ["1", "2"] }, blobs: { BS: [new Uint8Array([1])] },
};
assert.equal((await send("PutItem", { TableName, Item: item, ReturnConsumedCapacity: "TOTAL" })).ConsumedCapacity.CapacityUnits, 1);
assert.deepEqual((await send("GetItem", { TableName, Key: key("a", 1), ConsistentRead: true })).Item, item);
const failed = await send("PutItem", {
  TableName, Item: key("a", 1), ConditionExpression: "attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure: "ALL_OLD",
}).catch((error) => error);
assert(failed instanceof dynamodb.ConditionalCheckFailedException);
assert.deepEqual(failed.Item, item);
const changed = await send("UpdateItem", {
  TableName, Key: key("a", 1), UpdateExpression: "SET #n = #n + :one REMOVE nothing ADD numbers :three DELETE texts :x",
  ExpressionAttributeNames: { "#n": "number" },
  ExpressionAttributeValues: { ":one": { N: "1" }, ":three": { NS: ["3"] }, ":x": { SS: ["x"] } },
  ReturnValues: "ALL_NEW",
});
assert.equal(changed.Attributes.number.N, "-0.5");
assert.deepEqual(changed.Attributes.texts, { SS: ["y"] });
assert.equal(changed.Attributes.nothing, undefined);
assert.equal((await send("DeleteItem", { TableName, Key: key("a", 1), ReturnValues: "ALL_OLD" })).Attributes.text.S, "größer");

const numbers = [...Array(25).keys()];
const written = await send("BatchWriteItem", {
  RequestItems: { [TableName]: numbers.map((n) => ({ PutRequest: { Item: { ...key("b", n), even: { BOOL: n % 2 === 0 } } } })) },
});
assert.deepEqual(written.UnprocessedItems, {});
const got = await send("BatchGetItem", { RequestItems: { [TableName]: { Keys: numbers.map((n) => key("b", n)), ProjectionExpression: "sk" } } });
assert.deepEqual(got.Responses[TableName].map((i) => Number(i.sk.N)).sort((x, y) => x - y), numbers);

const query = {
  TableName, KeyConditionExpression: "pk = :p AND sk BETWEEN :low AND :high", FilterExpression: "even = :yes", ScanIndexForward: false,
  ExpressionAttributeValues: { ":p": { S: "b" }, ":low": { N: "5" }, ":high": { N: "14" }, ":yes": { BOOL: true } },
};
const queried = await send("Query", query);
assert.deepEqual([queried.Count, queried.ScannedCount], [5, 10]);
assert.deepEqual(queried.Items.map((i) => i.sk.N), ["14", "12", "10", "8", "6"]);
let scanned = 0;
for (let Segment = 0; Segment < 3; Segment++) {
  for await (const page of dynamodb.paginateScan({ client, pageSize: 4 }, { TableName, Segment, TotalSegments: 3 })) scanned += page.Count;
}
used.add("Scan");
assert.equal(scanned, 25);

// ---- Transactions ----

await send("TransactWriteItems", { TransactItems: [{ Put: { TableName, Item: key("t", 1) } }, { Delete: { TableName, Key: key("t", 2) } }] });
assert.deepEqual((await send("TransactGetItems", { TransactItems: [{ Get: { TableName, Key: key("t", 1) } }] })).Responses,
  [{ Item: key("t", 1) }]);
await assert.rejects(send("TransactWriteItems", { TransactItems: [{ Put: { TableName, Item: key("t", 1),
  ConditionExpression: "attribute_not_exists(pk)" } }] }), (error) => error instanceof dynamodb.TransactionCanceledException &&
  error.CancellationReasons[0].Code === "ConditionalCheckFailed");

// ---- PartiQL ----

await send("ExecuteStatement", { Statement: `INSERT INTO "${TableName}" VALUE {'pk': 'c', 'sk': ?}`, Parameters: [{ N: "1" }] });
const selected = await send("BatchExecuteStatement", { Statements: [{ Statement: `SELECT * FROM "${TableName}" WHERE pk = 'c' AND sk = 1` }] });
assert.deepEqual(selected.Responses, [{ TableName, Item: key("c", 1) }]);
await send("ExecuteTransaction", { TransactStatements: [{ Statement: `DELETE FROM "${TableName}" WHERE pk = 'c' AND sk = 1` }] });

// ---- Tags and descriptions ----

await send("TagResource", { ResourceArn, Tags: [{ Key: "stage", Value: "test" }] });
await send("UntagResource", { ResourceArn, TagKeys: ["team"] });
assert.deepEqual((await send("ListTagsOfResource", { ResourceArn })).Tags, [{ Key: "stage", Value: "test" }]);
assert.equal((await send("DescribeTimeToLive", { TableName })).TimeToLiveDescription.TimeToLiveStatus, "DISABLED");
assert((await send("DescribeContinuousBackups", { TableName })).ContinuousBackupsDescription.ContinuousBackupsStatus);
assert((await send("DescribeLimits", {})).TableMaxReadCapacityUnits > 0);
assert.equal((await send("DescribeEndpoints", {})).Endpoints.length, 1);

// ---- Resource policies, continuous backups ----

const Principal = { AWS: "arn:aws:iam::000000000000:root" };
const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Principal, Action: "dynamodb:GetItem", Resource: "*" }] });
const { RevisionId } = await send("PutResourcePolicy", { ResourceArn, Policy, ExpectedRevisionId: "NO_POLICY" });
const policy = await send("GetResourcePolicy", { ResourceArn });
assert.deepEqual([policy.Policy, policy.RevisionId], [Policy, RevisionId]);
await assert.rejects(client.send(new dynamodb.DeleteResourcePolicyCommand({ ResourceArn, ExpectedRevisionId: "0" })), dynamodb.PolicyNotFoundException);
assert.equal((await send("DeleteResourcePolicy", { ResourceArn })).RevisionId, RevisionId);
assert((await send("UpdateContinuousBackups", { TableName, PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: false } })).ContinuousBackupsDescription);

// ---- What is not built says so, by the newest names too ----

for (const [operation, input, name] of [
  ["ListBackups", { TableName }, "UnknownOperationException"]]) {
  await assert.rejects(client.send(new dynamodb[`${operation}Command`](input)), (error) => error.name === name);
}
await assert.rejects(client.send(new dynamodb.UpdateTableCommand({ TableName, DisassociationProtectionEnabled: true })),
  (error) => error.name === "ValidationException" && error.message.endsWith("DisassociationProtectionEnabled is not supported"));

const deleted = await send("DeleteTable", { TableName });
assert.equal(deleted.TableDescription.TableStatus, "DELETING");
await dynamodb.waitUntilTableNotExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName });
await assert.rejects(send("DescribeTable", { TableName }), dynamodb.ResourceNotFoundException);
console.log(`ok: ${used.size} operations`);
