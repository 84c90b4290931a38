// What the programs here share: a client at the endpoint that is the first argument, and a table of a name of its own.

import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";

export const endpoint = process.argv[2];
export const newClient = () => new DynamoDBClient({
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
  maxAttempts: 1,
});
export const client = newClient();
export const tableName = (library) => `${library}-${process.pid}`;

// Strings "pk" and "sk", and two indexes that hold whole items: a local one "byDate" over "date", and a global one "global"
// over "gpk" and "gsk".
export const tableDefinition = (TableName) => ({
  TableName,
  BillingMode: "PAY_PER_REQUEST",
  AttributeDefinitions: ["pk", "sk", "date", "gpk", "gsk"].map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
  KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }, { AttributeName: "sk", KeyType: "RANGE" }],
  LocalSecondaryIndexes: [{
    IndexName: "byDate",
    KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }, { AttributeName: "date", KeyType: "RANGE" }],
    Projection: { ProjectionType: "ALL" },
  }],
  GlobalSecondaryIndexes: [{
    IndexName: "global",
    KeySchema: [{ AttributeName: "gpk", KeyType: "HASH" }, { AttributeName: "gsk", KeyType: "RANGE" }],
    Projection: { ProjectionType: "ALL" },
  }],
});

// A global index follows its table: ask until the answer is the one that is wanted.
export async function eventually(ask, wanted) {
  const deadline = Date.now() + 20000;
  for (;;) {
    const answer = await ask();
    if (isDeepStrictEqual(answer, wanted)) return;
    if (Date.now() > deadline) assert.deepEqual(answer, wanted);
  }
}

export { assert };
