// The audit of GraphQL over HTTP that the package graphql-http brings; prints what it found, as JSON.
import { auditServer } from 'graphql-http';

const found = await auditServer({ url: process.argv[2], fetchFn: fetch });
console.log(JSON.stringify(found.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));
