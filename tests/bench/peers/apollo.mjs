// Apollo Server over Fastify, with its own store of parsed and validated documents.
import { ApolloServer } from '@apollo/server';
import fastifyApollo, { fastifyApolloDrainPlugin } from '@as-integrations/fastify';
import { makeExecutableSchema } from '@graphql-tools/schema';
import Fastify from 'fastify';
import { context, port, resolvers, typeDefs } from './stores.mjs';

const fastify = Fastify();
const apollo = new ApolloServer({
  schema: makeExecutableSchema({ typeDefs, resolvers, resolverValidationOptions: { requireResolversForResolveType: 'ignore' } }),
  plugins: [fastifyApolloDrainPlugin(fastify)],
});
await apollo.start();
await fastify.register(fastifyApollo(apollo), {
  path: '/graphql',
  context: async (request) => context(request.headers.authorization),
});
await fastify.listen({ port, host: '127.0.0.1' });
