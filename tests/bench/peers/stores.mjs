// What every peer does: reads and writes of the contract's measured part, on Perch's own MongoDB and Redis, with pooled
// connections, projections and loaders that batch and live as long as a request. Knows no GraphQL server.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import DataLoader from 'dataloader';
import { GraphQLError, GraphQLScalarType } from 'graphql';
import { Redis } from 'ioredis';
import { Long, MongoClient } from 'mongodb';

const given = JSON.parse(process.env.PEER);
export const { port } = given;
export const typeDefs = readFileSync(given.schema, 'utf8');

const client = new MongoClient(given.mongo_url, { maxPoolSize: 100, w: 'majority' });
await client.connect();
const db = client.db(given.database);
const [tweets, users, likes, follows] = ['tweets', 'users', 'likes', 'follows'].map((name) => db.collection(name));
const redis = new Redis(given.redis_url);

const TWEET = { author: 1, text: 1, likes: 1, retweets: 1, replies: 1 };
const PERSON = { username: 1, display_name: 1 };
const PROFILE = { ...PERSON, bio: 1, followers: 1, following: 1, tweets: 1 };

// ---------------------------------------------------------------- ids, cursors, keys: as Perch writes them

const EPOCH_MS = 1_136_073_600_000;
const base64 = (text) => Buffer.from(text).toString('base64url');
const globalId = (type, id) => base64(`${type}:${id}`);
const localId = (id) => Number(Buffer.from(id, 'base64url').toString().split(':')[1]);
const cursor = (kind, id) => base64(`${kind}:${id}`);

function createdAt(id) {
  const iso = new Date(Math.floor(id / 4096) + EPOCH_MS).toISOString();
  return iso.endsWith('.000Z') ? `${iso.slice(0, -5)}+00:00` : `${iso.slice(0, -1)}000+00:00`;
}

const mask = (1n << 64n) - 1n;
function spread(id, buckets) {
  let value = (BigInt(id) + 0x9e3779b97f4a7c15n) & mask;
  value = ((value ^ (value >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
  value = ((value ^ (value >> 27n)) * 0x94d049bb133111ebn) & mask;
  return Number((value ^ (value >> 31n)) % BigInt(buckets));
}

const remembered = (make, kept = new Map()) => (id) => {
  if (!kept.has(id)) kept.set(id, make(id));
  return kept.get(id);
};
const timelineKey = remembered((id) => `tl:{${spread(id, 64)}}:${id}`);
const authorBucket = remembered((id) => spread(id, 1024));

function newTweetId(author) {
  const tie = Math.random() < 0.5 ? 0 : 1;
  return (Date.now() - EPOCH_MS) * 4096 + authorBucket(author) * 4 + tie;
}

// ---------------------------------------------------------------- who asks

const signed = (text) => createHmac('sha256', given.secret).update(text).digest();

function viewerOf(authorization) {
  const [head, claims, signature] = (authorization ?? '').replace(/^Bearer /, '').split('.');
  const found = Buffer.from(signature ?? '', 'base64url');
  const right = signed(`${head}.${claims}`);
  if (found.length !== right.length || !timingSafeEqual(found, right)) throw new GraphQLError('Log in first.');
  const { sub, exp } = JSON.parse(Buffer.from(claims, 'base64url'));
  if (exp < Date.now() / 1000) throw new GraphQLError('The token has expired.');
  return Number(sub);
}

const byId = (found) => new Map(found.map((doc) => [doc._id, doc]));

export function context(authorization) {
  const viewer = viewerOf(authorization);
  return {
    viewer,
    people: new DataLoader(async (ids) => {
      const found = byId(await users.find({ _id: { $in: ids } }, { projection: PERSON }).toArray());
      return ids.map((id) => found.get(id) ?? null);
    }),
    liked: new DataLoader(async (ids) => {
      const pairs = ids.map((t) => ({ t, u: viewer }));
      const found = await likes.find({ _id: { $in: pairs } }, { projection: { _id: 1 } }).toArray();
      const there = new Set(found.map((doc) => doc._id.t));
      return ids.map((id) => there.has(id));
    }),
  };
}

// ---------------------------------------------------------------- reads

async function tweetsInOrder(ids) {
  const found = byId(await tweets.find({ _id: { $in: ids }, alive: true }, { projection: TWEET }).toArray());
  return ids.map((id) => found.get(id)).filter(Boolean);
}

function page(kind, found, first) {
  const edges = found.slice(0, first).map((node) => ({ cursor: cursor(kind, node._id), node }));
  return { edges, pageInfo: { hasNextPage: found.length > first, endCursor: edges.at(-1)?.cursor ?? null } };
}

const list = async (kind, query, first) =>
  page(kind, await tweets.find(query, { projection: TWEET }).sort({ _id: -1 }).limit(first + 1).toArray(), first);

const Query = {
  async homeTimeline(_, { first }, { viewer }) {
    const kept = await redis.lrange(timelineKey(viewer), 0, first);
    const members = kept.filter((member) => !member.startsWith('floor:'));
    const found = await tweetsInOrder(members.slice(0, first).map(Number));
    const shown = page('h', found, first);
    shown.pageInfo.hasNextPage = members.length > first;
    return shown;
  },
  async topTweets(_, { first }) {
    const ids = (await redis.zrange('top:{top}:day', 1, first, 'REV')).map(Number);
    return { nodes: (await tweetsInOrder(ids)).map((tweet) => ({ rank: ids.indexOf(tweet._id) + 1, tweet })) };
  },
  user: (_, { username }) => users.findOne({ name_key: username.toLowerCase() }, { projection: PROFILE }),
  tweet: (_, { id }) => tweets.findOne({ _id: localId(id), alive: true }, { projection: TWEET }),
  searchTweets: (_, { query, first }) => list('s', { terms: query.toLowerCase() }, first),
};

const Tweet = {
  id: (tweet) => globalId('Tweet', tweet._id),
  createdAt: (tweet) => createdAt(tweet._id),
  likeCount: (tweet) => tweet.likes,
  retweetCount: (tweet) => tweet.retweets,
  replyCount: (tweet) => tweet.replies,
  author: (tweet, _, { people }) => people.load(tweet.author),
  viewerHasLiked: (tweet, _, { liked }) => liked.load(tweet._id),
  replies: (tweet, { first }) => list('p', { reply_to: tweet._id, alive: true }, first),
};

const User = {
  id: (user) => globalId('User', user._id),
  displayName: (user) => user.display_name,
  createdAt: (user) => createdAt(user._id),
  followerCount: (user) => user.followers,
  followingCount: (user) => user.following,
  tweetCount: (user) => user.tweets,
  viewerIsFollowing: async (user, _, { viewer }) =>
    (await follows.findOne({ _id: { a: user._id, f: viewer } }, { projection: { _id: 1 } })) !== null,
  tweets: (user, { first }) => list('t', { author: user._id, alive: true, is_reply: false }, first),
};

// ---------------------------------------------------------------- writes: the documents and counters that Perch writes

function tweetDocument(id, author, text, followers) {
  return {
    _id: Long.fromNumber(id),
    bucket: authorBucket(author),
    author: Long.fromNumber(author),
    text,
    is_reply: false,
    likes: 0,
    retweets: 0,
    replies: 0,
    engagement: 0,
    alive: true,
    terms: [...new Set(text.toLowerCase().match(/\w+/g) ?? [])],
    author_followers: followers,
  };
}

async function insertTweet(author, text, followers) {
  for (;;) {
    const id = newTweetId(author);
    try {
      await tweets.insertOne(tweetDocument(id, author, text, followers));
      return { _id: id, author, text, likes: 0, retweets: 0, replies: 0 };
    } catch (error) {
      if (error.code !== 11000) throw error; // another one of this millisecond
    }
  }
}

async function insertLike(tweet, user) {
  try {
    await likes.insertOne({ _id: { t: Long.fromNumber(tweet), u: Long.fromNumber(user) }, at: Long.fromNumber(Date.now()) });
    return true;
  } catch (error) {
    if (error.code !== 11000) throw error;
    return false;
  }
}

const plusOneLike = (user) => [
  {
    $set: {
      likes: { $add: ['$likes', 1] },
      engagement: { $add: [{ $ifNull: ['$engagement', 0] }, { $cond: [{ $eq: ['$author', user] }, 0, 1] }] },
    },
  },
  given.placed,
];

const Mutation = {
  async postTweet(_, { input }, { viewer }) {
    const author = await users.findOne({ _id: viewer }, { projection: { followers: 1 } });
    const tweet = await insertTweet(viewer, input.text, author.followers);
    await users.updateOne({ _id: viewer }, { $inc: { tweets: 1 } });
    return { tweet, errors: [] };
  },
  async likeTweet(_, { input }, { viewer }) {
    const _id = localId(input.tweetId);
    if (!(await tweets.findOne({ _id, alive: true }, { projection: { _id: 1 } }))) throw new GraphQLError('No such tweet.');
    if (await insertLike(_id, viewer)) await tweets.updateOne({ _id }, plusOneLike(viewer));
    return { tweet: await tweets.findOne({ _id, alive: true }, { projection: TWEET }), errors: [] };
  },
};

const DateTime = new GraphQLScalarType({ name: 'DateTime', serialize: (value) => value });
export const resolvers = { Query, Mutation, Tweet, User, DateTime };
