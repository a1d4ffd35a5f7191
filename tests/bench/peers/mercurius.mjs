// Mercurius over Fastify, which compiles a document that it has seen once.
import { makeExecutableSchema } from '@graphql-tools/schema';
import Fastify from 'fastify';
import mercurius from 'mercurius';
import { context, port, resolvers, typeDefs } from './stores.mjs';

const fastify = Fastify();
await fastify.register(mercurius, {
  schema: makeExecutableSchema({ typeDefs, resolvers, resolverValidationOptions: { requireResolversForResolveType: 'ignore' } }),
  context: (request) => context(request.headers.authorization),
  jit: 1,
  graphiql: false,
});
await fastify.listen({ port, host: '127.0.0.1' });
