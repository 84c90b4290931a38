// The operations of the streams service by the JS SDK v3: a consumer that follows all shards of a table's stream.
// The endpoint is the first argument.  Prints "ok" and the number of operations at the end.

import assert from "node:assert/strict";
import * as dynamodb from "@aws-sdk/client-dynamodb";
import * as streams from "@aws-sdk/client-dynamodb-streams";

const options = {
  endpoint: process.argv[2],
  region: "us-east-1",
  credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
  maxAttempts: 1,
};
const client = new dynamodb.DynamoDBClient(options);
const reader = new streams.DynamoDBStreamsClient(options);
const used = new Set();
const send = (operation, input) => {
  used.add(operation);
  return reader.send(new streams[`${operation}Command`](input));
};

const TableName = `streamed-${process.pid}`;
await client.send(new dynamodb.CreateTableCommand({
  TableName,
  AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
  KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
  ProvisionedThroughput: { ReadCapacityUnits: 3000, WriteCapacityUnits: 2000 },
  StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
}));
await dynamodb.waitUntilTableExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName });

const { Streams } = await send("ListStreams", { TableName });
assert.equal(Streams.length, 1);
const StreamArn = Streams[0].StreamArn;
const { StreamDescription } = await send("DescribeStream", { StreamArn });
assert.equal(StreamDescription.StreamStatus, "ENABLED");
assert.ok(StreamDescription.CreationRequestDateTime instanceof Date);
assert.ok(StreamDescription.Shards.length > 1);

const iterators = [];
for (const { ShardId } of StreamDescription.Shards)
  iterators.push((await send("GetShardIterator", { StreamArn, ShardId, ShardIteratorType: "LATEST" })).ShardIterator);
const written = 30;
for (let n = 0; n < written; n++)
  await client.send(new dynamodb.PutItemCommand({ TableName, Item: { pk: { S: `k${n}` }, n: { N: `${n}` } } }));
const seen = [];
for (let tries = 0; tries < 1000 && seen.length < written; tries++) {
  for (let shard = 0; shard < iterators.length; shard++) {
    const page = await send("GetRecords", { ShardIterator: iterators[shard] });
    seen.push(...page.Records);
    iterators[shard] = page.NextShardIterator;
  }
}
assert.deepEqual(seen.map((r) => Number(r.dynamodb.NewImage.n.N)).sort((a, b) => a - b), [...Array(written).keys()]);
assert.ok(seen.every((r) => r.eventName === "INSERT" && r.eventSource === "aws:dynamodb"));
assert.ok(seen[0].dynamodb.ApproximateCreationDateTime instanceof Date);

await client.send(new dynamodb.DeleteTableCommand({ TableName }));
await dynamodb.waitUntilTableNotExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName });
assert.equal((await send("DescribeStream", { StreamArn })).StreamDescription.StreamStatus, "DISABLED");
assert.equal((await send("GetRecords", { ShardIterator: iterators[0] })).NextShardIterator, undefined);
await assert.rejects(send("DescribeStream", { StreamArn: StreamArn.replace(TableName, "other") }), streams.ResourceNotFoundException);
console.log(`ok: ${used.size} operations`);
