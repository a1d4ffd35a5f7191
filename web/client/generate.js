// Types and typed documents from schema/schema.graphql and src/operations, as src/generated.ts: never edited, never kept.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';

import { codegen } from '@graphql-codegen/core';
import * as typedDocuments from '@graphql-codegen/typed-document-node';
import * as operations from '@graphql-codegen/typescript-operations';
import { buildSchema, parse, printSchema, validate, concatAST } from 'graphql';

const here = (path) => new URL(path, import.meta.url);

const schema = buildSchema(readFileSync(here('../../schema/schema.graphql'), 'utf8'));
const documents = readdirSync(here('src/operations'))
  .sort()
  .map((name) => ({ location: name, document: parse(readFileSync(here(`src/operations/${name}`), 'utf8')) }));

const mistakes = validate(schema, concatAST(documents.map(({ document }) => document)));
if (mistakes.length) {
  mistakes.forEach((mistake) => console.error(mistake.toString()));
  process.exit(1);
}

const code = await codegen({
  filename: 'src/generated.ts',
  schema: parse(printSchema(schema)),
  schemaAst: schema,
  documents,
  config: {
    enumsAsTypes: true,
    skipTypename: false,
    nonOptionalTypename: true,
    skipTypeNameForRoot: true,
    useTypeImports: true,
    scalars: { DateTime: 'string', ID: 'string' },
    inlineFragmentTypes: 'inline',
  },
  pluginMap: { operations, typedDocuments },
  plugins: [{ operations: {} }, { typedDocuments: {} }],
});
writeFileSync(here('src/generated.ts'), `/* eslint-disable */\n${code}`);
