// GraphQL Yoga over node:http, with its own caches of parsed and validated documents.
import { createServer } from 'node:http';
import { createSchema, createYoga } from 'graphql-yoga';
import { context, port, resolvers, typeDefs } from './stores.mjs';

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers, resolverValidationOptions: { requireResolversForResolveType: 'ignore' } }),
  context: ({ request }) => context(request.headers.get('authorization')),
  logging: 'error',
  graphiql: false,
  landingPage: false,
});
createServer(yoga).listen(port, '127.0.0.1');
