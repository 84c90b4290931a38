// dynamodb-admin in headless Chromium: list the tables, open one, turn a page, query, edit an item, add and delete one.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import * as dynamodb from "@aws-sdk/client-dynamodb";
import { chromium } from "playwright-core";
import { assert, client, endpoint, tableDefinition, tableName } from "./common.mjs";

const TableName = tableName("admin");
const key = (n) => ({ pk: { S: "customer#1" }, sk: { S: `order#${String(n).padStart(3, "0")}` } });
const stored = async (n) => (await client.send(new dynamodb.GetItemCommand({ TableName, Key: key(n), ConsistentRead: true }))).Item;
await client.send(new dynamodb.CreateTableCommand(tableDefinition(TableName)));
await dynamodb.waitUntilTableExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName });
for (let n = 0; n < 30; n += 10) {
  const requests = [...Array(10).keys()].map((i) => ({ PutRequest: { Item: { ...key(n + i), date: { S: `2026-12-${10 + n}` }, total: { N: `${n + i}` } } } }));
  await client.send(new dynamodb.BatchWriteItemCommand({ RequestItems: { [TableName]: requests } }));
}

const admin = spawn(process.execPath, ["node_modules/dynamodb-admin/dist/dynamodb-admin.js", "--host", "127.0.0.1", "--port", "0"],
  { env: { ...process.env, DYNAMO_ENDPOINT: endpoint }, stdio: ["ignore", "pipe", "inherit"] });
let browser;

// What it prints first says where it listens.
async function address() {
  for await (const line of createInterface({ input: admin.stdout })) {
    const found = /listening on (http:\S+)/.exec(line);
    if (found) return found[1];
  }
  throw new Error("dynamodb-admin ended");
}

// The rows on the page, once there are so many.
async function rows(page, count) {
  await page.locator(".items-table tbody tr").nth(count - 1).waitFor();
  assert.equal(await page.locator(".items-table tbody tr").count(), count);
}

async function save(page, item) {
  await page.locator("#documentTextarea").click();
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText(JSON.stringify(item));
  const [answer] = await Promise.all([page.waitForResponse((response) => response.request().method() === "PUT"), page.locator("#saveButton").click()]);
  assert.equal(answer.status(), 200);
}

try {
  const url = await address();
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const page = await browser.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(error));

  // List the tables.
  await page.goto(url);
  await page.locator(`#table-list [data-table-name="${TableName}"] a`).first().click();

  // Open one, and turn a page.
  await rows(page, 25);
  await page.locator(".page-link-next").click();
  await rows(page, 5);
  await page.locator(".page-link-previous").click();
  await rows(page, 25);

  // Query.
  await page.locator('select[name="operationType"]').selectOption("query");
  const filters = page.locator("#filters-table tr");
  const value = async (name, text) => {
    for (const filter of await filters.all())
      if (await filter.locator(".filter-row-key").inputValue() === name) await filter.locator(".filter-row-value").fill(text);
  };
  await value("pk", "customer#1");
  await value("sk", "order#007");
  await page.locator('button[type="submit"]').click();
  await rows(page, 1);

  // Edit an item.
  await page.locator(".items-table a", { hasText: "View" }).click();
  await page.locator(".ace_content", { hasText: "order#007" }).waitFor();
  await save(page, { pk: "customer#1", sk: "order#007", date: "2026-12-24", total: 7.5, lines: [{ sku: "a", count: 1 }] });
  assert.deepEqual(await stored(7), {
    ...key(7), date: { S: "2026-12-24" }, total: { N: "7.5" }, lines: { L: [{ M: { sku: { S: "a" }, count: { N: "1" } } }] },
  });

  // Add one, and delete it.
  await page.goto(`${url}/tables/${TableName}/add-item`);
  await save(page, { pk: "customer#1", sk: "order#900", date: "2026-12-25", total: 1 });
  await page.locator(".ace_content", { hasText: "order#900" }).waitFor();
  assert.equal((await stored(900)).total.N, "1");
  await Promise.all([page.waitForURL(`${url}/tables/${TableName}`), page.locator("button.btn-danger", { hasText: "Delete" }).click()]);
  assert.equal(await stored(900), undefined);

  // What it says of the table.
  assert.equal((await page.goto(`${url}/tables/${TableName}/meta`)).status(), 200);
  assert.deepEqual(faults, []);
} finally {
  await browser?.close();
  admin.kill();
  await once(admin, "exit");
}
await client.send(new dynamodb.DeleteTableCommand({ TableName }));
console.log("ok");
