// What a Node team would write: graphql-ws on ws, one shared Redis connection behind all subscriptions, no replay.
// Its events arrive whole from Redis, so that it reads no database: what is measured is delivery alone.
import { createServer } from 'node:http';
import { buildSchema, GraphQLError } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { Redis } from 'ioredis';
import { WebSocketServer } from 'ws';

const [port, redisUrl] = process.argv.slice(2);

const schema = buildSchema(`
  type User { id: ID! username: String! }
  type Tweet { id: ID! text: String! author: User! }
  type HomeTimelineEdge { cursor: String! source: String! node: Tweet! }
  type TimelineTweetAdded { cursor: String! edge: HomeTimelineEdge! }
  type TimelineTweetRemoved { cursor: String! edgeCursor: String! tweetId: ID! }
  type TimelineResync { cursor: String! reason: String! }
  union HomeTimelineEvent = TimelineTweetAdded | TimelineTweetRemoved | TimelineResync
  type Query { ok: Boolean }
  type Subscription { homeTimelineEvents(after: String): HomeTimelineEvent! }
`);

const redis = new Redis(redisUrl);
const listeners = new Map();
redis.on('message', (channel, message) => {
  for (const listener of listeners.get(channel) ?? []) listener(message);
});

async function* messages(channel) {
  const waiting = [];
  let wake = () => {};
  const listener = (message) => {
    waiting.push(message);
    wake();
  };
  if (!listeners.has(channel)) {
    listeners.set(channel, new Set());
    await redis.subscribe(channel);
  }
  listeners.get(channel).add(listener);
  try {
    while (true) {
      while (waiting.length) yield JSON.parse(waiting.shift());
      await new Promise((resolve) => { wake = resolve; });
    }
  } finally {
    listeners.get(channel).delete(listener);
    if (!listeners.get(channel).size) {
      listeners.delete(channel);
      redis.unsubscribe(channel);
    }
  }
}

schema.getSubscriptionType().getFields().homeTimelineEvents.subscribe = async function* (_, __, context) {
  for await (const event of messages(`home:${context.viewer}`)) {
    yield { homeTimelineEvents: { __typename: 'TimelineTweetAdded', ...event } };
  }
};

const http = createServer((_, response) => response.end(String(sockets.clients.size)));
const sockets = new WebSocketServer({ server: http, path: '/graphql', perMessageDeflate: false });
useServer({
  schema,
  context: (ctx) => {
    const [, viewer] = String(ctx.connectionParams?.authorization ?? '').split(' ');
    if (!viewer) throw new GraphQLError('Log in first.');
    return { viewer };
  },
}, sockets, 12_000_000);
http.listen(Number(port), '127.0.0.1');
