// The client of the live bench: holds sockets, posts, and tells what arrived. One command a line on stdin, as JSON; one
// answer a line on stdout. A tweet's text is "<ms when it was sent> <author> <number>": from it come latency and order.
import { Agent, request } from 'node:http';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';

const LIVE = `subscription ($after: String) { homeTimelineEvents(after: $after) { __typename
  ... on TimelineTweetAdded { cursor edge { cursor source node { id text author { username } } } }
  ... on TimelineTweetRemoved { cursor edgeCursor tweetId }
  ... on TimelineResync { cursor reason } } }`;
const POST = 'mutation ($input: PostTweetInput!) { postTweet(input: $input) { tweet { id } errors { code } } }';

const readers = [];
let tally = fresh();
function fresh() {
  return { events: 0, latencies: [], repeated: 0, disordered: 0, resyncs: 0, closed: {}, last: 0 };
}

class Reader {
  constructor(url, token) {
    Object.assign(this, { url, token, cursor: null, seen: new Map(), acked: null });
  }
  open() {
    this.acked = new Promise((resolve) => { this.ready = resolve; });
    const socket = new WebSocket(this.url, 'graphql-transport-ws', { perMessageDeflate: false });
    this.socket = socket;
    const send = (message) => socket.send(JSON.stringify(message));
    socket.on('open', () => send({ type: 'connection_init', payload: { authorization: `Bearer ${this.token}` } }));
    socket.on('error', () => {});
    socket.on('close', (code) => {
      tally.closed[code] = (tally.closed[code] ?? 0) + 1;
      if (this.next) setTimeout(() => { this.url = this.next; this.open(); }, Math.random() * this.jitterMs);
      this.ready();
    });
    socket.on('message', (data) => {
      const message = JSON.parse(data);
      if (message.type === 'connection_ack') {
        send({ type: 'subscribe', id: '1', payload: { query: LIVE, variables: { after: this.cursor } } });
        send({ type: 'ping' });
      } else if (message.type === 'pong') this.ready();
      else if (message.type === 'next') this.take(message.payload.data.homeTimelineEvents);
      else console.error(JSON.stringify(message));
    });
    return this.acked;
  }
  take(event) {
    this.cursor = event.cursor;
    if (event.__typename === 'TimelineResync') tally.resyncs++;
    if (event.__typename !== 'TimelineTweetAdded') return;
    const [sent, author, number] = event.edge.node.text.split(' ').map(Number);
    const now = Date.now();
    if (!this.seen.has(author)) this.seen.set(author, { numbers: new Set(), last: number });
    const seen = this.seen.get(author);
    if (seen.numbers.has(number)) {
      tally.repeated++;
      return;
    }
    if (number < seen.last) tally.disordered++;
    seen.numbers.add(number);
    seen.last = number;
    tally.events++;
    tally.latencies.push(now - sent);
    tally.last = now;
  }
}

// By plain HTTP: fetch takes twice the CPU, of the cores that the servers run on.
const agent = new Agent({ keepAlive: true });
function asked(url, token, body) {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), authorization: `Bearer ${token}` };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve(JSON.parse(Buffer.concat(parts))));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const commands = {
  async open({ url, tokens, at_once }) {
    for (let from = 0; from < tokens.length; from += at_once) {
      const batch = tokens.slice(from, from + at_once).map((token) => new Reader(url, token));
      readers.push(...batch);
      await Promise.all(batch.map((reader) => reader.open()));
    }
    return { open: readers.filter((reader) => reader.socket.readyState === WebSocket.OPEN).length };
  },
  // When a socket ends, go there with the last cursor, after a random part of so many milliseconds.
  async follow({ url, jitter_ms }) {
    for (const reader of readers) Object.assign(reader, { next: url, jitterMs: jitter_ms });
    return {};
  },
  async post({ url, tokens, per_second, seconds, from }) {
    const sent = [];
    // Of each author: what one author writes side by side has no order that could be kept.
    const last = tokens.map(() => Promise.resolve());
    const total = per_second * seconds;
    const start = performance.now();
    const took = [];
    for (let number = 0; number < total; number++) {
      const due = start + (number * 1000) / per_second;
      while (performance.now() < due) await new Promise((resolve) => setTimeout(resolve, 1));
      const author = number % tokens.length;
      const text = `${Date.now()} ${author} ${from + Math.floor(number / tokens.length)}`;
      const began = performance.now();
      last[author] = last[author].then(async () => {
        const body = await asked(url, tokens[author], JSON.stringify({ query: POST, variables: { input: { text } } }));
        took.push(performance.now() - began);
        return body.data?.postTweet?.tweet ? 1 : 0;
      });
      sent.push(last[author]);
    }
    const accepted = (await Promise.all(sent)).reduce((sum, one) => sum + one, 0);
    return { posted: total, accepted, p99: rank(took, 0.99) };
  },
  async wait({ events, ms }) {
    const end = Date.now() + ms;
    while (tally.events < events && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
    return commands.tell();
  },
  async tell() {
    const { latencies, ...rest } = tally;
    return { ...rest, p50: rank(latencies, 0.5), p99: rank(latencies, 0.99) };
  },
  async forget() {
    tally = fresh();
    return {};
  },
};

function rank(values, share) {
  const sorted = Float64Array.from(values).sort();
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] : null;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...given } = JSON.parse(line);
  console.log(JSON.stringify(await commands[command](given)));
}
process.exit(0);
