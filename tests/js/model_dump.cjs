// Print the inputs of all operations of the newest AWS SDK's model, for tools/compatibility-check:
// {"operations": {"GetItem": "GetItemInput", ...}, "structures": {"GetItemInput": ["TableName", ...], ...}}

"use strict";

const OPERATION = 9;
const STRUCTURE = 3;
const result = { operations: {}, structures: {} };

const resolve = (reference) => (typeof reference === "function" ? reference() : reference);

// A schema is [kind, namespace, name, traits, ...]; of a structure, [4] has the members' names and [5] their schemas; of
// a list [4] is the element's schema, of a map [5] the value's.  A reference with traits is [schema, traits].
function visit(reference) {
  const schema = resolve(reference);
  if (!Array.isArray(schema)) return;
  if (typeof schema[0] !== "number") return visit(schema[0]);
  if (Array.isArray(schema[4]) && (schema[0] === STRUCTURE || Array.isArray(schema[5]))) {
    if (result.structures[schema[2]]) return;
    result.structures[schema[2]] = schema[4];
    schema[5].forEach(visit);
    return;
  }
  visit(schema[4]);
  visit(schema[5]);
}

for (const name of ["@aws-sdk/client-dynamodb", "@aws-sdk/client-dynamodb-streams"]) {
  for (const schema of Object.values(require(name))) {
    if (!Array.isArray(schema) || schema[0] !== OPERATION) continue;
    const input = resolve(schema[4]);
    result.operations[schema[2]] = input[2];
    visit(input);
  }
}
console.log(JSON.stringify(result));
