// What the programs here share: a client at the endpoint that is the first argument, and a table of a name of its own.

import assert from "node:assert/strict";
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

// Strings "pk" and "sk", and a local index "byDate" over "date" that holds whole items.
export const tableDefinition = (TableName) => ({
  TableName,
  BillingMode: "PAY_PER_REQUEST",
  AttributeDefinitions: ["pk", "sk", "date"].map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
  KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }, { AttributeName: "sk", KeyType: "RANGE" }],
  LocalSecondaryIndexes: [{
    IndexName: "byDate",
    KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }, { AttributeName: "date", KeyType: "RANGE" }],
    Projection: { ProjectionType: "ALL" },
  }],
});

export { assert };
