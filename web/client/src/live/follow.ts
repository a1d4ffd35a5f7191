// The live connection: events behind a cursor, over one socket after another, for as long as it is wanted.
import { print } from 'graphql';
import { createClient } from 'graphql-ws';

import { type HomeTimelineEventsSubscription, HomeTimelineEventsDocument } from '../generated';
import { client } from '../net/client';
import { SOCKET } from '../net/endpoint';
import { freshToken, renew } from '../session/refresh';
import { onSession, session } from '../session/session';

export type Status = 'connecting' | 'live' | 'lost';
export type LiveEvent = HomeTimelineEventsSubscription['homeTimelineEvents'];

export interface Reader {
  /** The cursor behind the last event that was taken. */
  position: () => string | null;
  take: (event: LiveEvent) => void;
  onStatus: (status: Status) => void;
}

const DOCUMENT = client.documentTransform.transformDocument(HomeTimelineEventsDocument);
const QUERY = print(DOCUMENT);
// Half-open connections (a network that went without a word) are found within these.
const PING_MS = 10_000;
const PONG_MS = 5_000;
// A connection that is taken and not answered, by a proxy whose server is gone, would else be waited for in vain.
const ACKNOWLEDGED_MS = 10_000;
// Full jitter up to here: when a server stops, all of its readers come back. Who was offline comes back at once.
const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 20_000;
// A connection that lived so long was a good one; one that is refused at once must not be tried at full speed for ever.
const LASTING_MS = 5_000;
const REFUSED = new Set([4401, 4403]);

/** Follows until the signal says so, or until the session is over. */
export async function follow(reader: Reader, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted && session()) {
    const begun = Date.now();
    const refused = await once(reader, signal);
    if (signal.aborted) return;
    reader.onStatus('lost');
    if (Date.now() - begun > LASTING_MS) failures = 0;
    // NOTE: a refused token is renewed at the first time only: a second refusal waits its turn like any other failure.
    if (refused && !failures) await renew(refused).catch(() => {});
    await pause(Math.random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures), signal);
    failures += 1;
  }
}

/** One socket until it ends. Gives the token if that is what it was closed for, else null. */
async function once(reader: Reader, signal: AbortSignal): Promise<string | null> {
  let token: string | null = null;
  let code = 0;
  let socket: WebSocket | null = null;
  const terminateIn = (ms: number) => setTimeout(() => sockets.terminate(), ms);
  let unanswered = terminateIn(ACKNOWLEDGED_MS);
  const sockets = createClient({
    url: SOCKET,
    connectionParams: async () => ({ authorization: `Bearer ${(token = await freshToken())}` }),
    // The library would subscribe again with the cursor of the first time.
    retryAttempts: 0,
    keepAlive: PING_MS,
    on: {
      opened: (opened) => (socket = opened as WebSocket),
      connected: () => {
        clearTimeout(unanswered);
        reader.onStatus('live');
      },
      closed: (event) => (code = (event as CloseEvent).code),
      ping: (received) => {
        if (!received) unanswered = terminateIn(PONG_MS);
      },
      pong: (received) => {
        if (received) clearTimeout(unanswered);
      },
    },
  });
  // A ping with the newer token renews the right of the open socket.
  const stopRenewing = onSession(() => {
    const fresh = session()?.accessToken;
    if (fresh && fresh !== token && socket?.readyState === WebSocket.OPEN) {
      token = fresh;
      socket.send(JSON.stringify({ type: 'ping', payload: { authorization: `Bearer ${fresh}` } }));
    }
  });
  const stop = () => sockets.terminate();
  signal.addEventListener('abort', stop);
  window.addEventListener('offline', stop);
  const renewal = setInterval(() => void freshToken().catch(() => {}), PING_MS);
  try {
    await listen(sockets, reader);
  } catch {
    // The connection is gone, or the operation was refused: either way the next one goes on behind the last event.
  } finally {
    clearTimeout(unanswered);
    clearInterval(renewal);
    stopRenewing();
    signal.removeEventListener('abort', stop);
    window.removeEventListener('offline', stop);
    void sockets.dispose();
  }
  return REFUSED.has(code) ? token : null;
}

async function listen(sockets: ReturnType<typeof createClient>, reader: Reader): Promise<void> {
  const variables = { after: reader.position() };
  for await (const { data } of sockets.iterate<HomeTimelineEventsSubscription>({ query: QUERY, variables })) {
    if (!data) return;
    client.cache.writeQuery({ id: 'ROOT_SUBSCRIPTION', query: DOCUMENT, variables, data });
    reader.take(data.homeTimelineEvents);
  }
}

/** Waits, but not when the network comes back, or when it is no longer wanted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener('online', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    window.addEventListener('online', done);
    signal.addEventListener('abort', done);
  });
}
