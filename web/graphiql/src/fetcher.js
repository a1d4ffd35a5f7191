// How GraphiQL talks to Perch: POST for queries and mutations, graphql-transport-ws for subscriptions, both at /graphql.
import { getOperationAST, parse } from 'graphql';
import { createClient } from 'graphql-ws';

import { notePosition, withPosition } from './position.js';
import { expire, forget, learn, onChange, session } from './session.js';

const ENDPOINT = new URL('/graphql', window.location.href);
const SOCKET = new URL(ENDPOINT);
SOCKET.protocol = ENDPOINT.protocol.replace('http', 'ws');

// A token this close to its end is renewed first, so that it does not expire on the way.
const MARGIN_MS = 10_000;
// How Perch refuses a token in connection_init, and ends a socket whose token has ended.
const REFUSED_CLOSE = 4403;

const REFRESH = `mutation Refresh($refreshToken: String!) {
  refreshSession(input: { refreshToken: $refreshToken }) {
    tokens { accessToken accessTokenExpiresAt refreshToken }
  }
}`;
const LOG_OUT = 'mutation LogOut { logOut(input: {}) { errors { code } } }';

/** GraphiQL's fetcher: one result for a query or mutation, an observable of results for a subscription. */
export async function fetcher(params, options) {
  const headers = new Headers(options?.headers ?? {});
  // The headers editor wins; only where it names no token is the remembered one sent.
  const token = headers.has('authorization') ? null : await freshToken();
  const operation = chosenOperation(params);
  // NOTE: for a moment after a change of tabs GraphiQL still names the operation of the tab before.
  const request = operation ? { ...params, operationName: operation.name?.value } : params;
  if (operation?.operation === 'subscription') {
    return subscription({ ...request, variables: withPosition(operation, request.variables) }, headers, token);
  }
  const result = await post(request, headers, token);
  notePosition(result);
  if (operation?.operation === 'mutation') noteSession(result, token);
  return result;
}

/** Ends the session here at once, and on the server as well as it can. */
export async function logOut() {
  const token = session()?.accessToken;
  forget();
  await send({ query: LOG_OUT }, new Headers(), token).catch(() => {});
}

/** The operation to run: the named one, else the only one; null where the server will say what is wrong with the document. */
function chosenOperation({ query, operationName }) {
  try {
    const document = parse(query);
    return getOperationAST(document, operationName) ?? getOperationAST(document);
  } catch {
    return null;
  }
}

/** One result. Where a remembered token is refused, once more with a renewed one or with none: LogIn must always work. */
async function post(params, headers, token) {
  const result = await send(params, headers, token);
  if (!token || !isRefused(result)) return result;
  expire();
  return send(params, headers, await freshToken());
}

async function send(params, headers, token) {
  const request = { method: 'POST', headers: httpHeaders(headers, token), body: JSON.stringify(params) };
  const response = await fetch(ENDPOINT, request).catch((error) => {
    throw plainError(`The server did not answer: ${error.message}`);
  });
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw plainError(`HTTP ${response.status}, not JSON: ${text.slice(0, 500)}`);
  }
}

function httpHeaders(headers, token) {
  const all = new Headers({
    accept: 'application/graphql-response+json, application/json',
    'content-type': 'application/json',
  });
  headers.forEach((value, name) => all.set(name, value));
  if (token) all.set('authorization', `Bearer ${token}`);
  return all;
}

/** An observable with a client of its own: it connects with the token of now, and nothing of it is left afterwards. */
function subscription(params, headers, token) {
  return {
    subscribe(sink) {
      const client = createClient({
        url: SOCKET.href,
        connectionParams: connectionParams(headers, token),
        // A silent reconnect would hide the events it missed.
        retryAttempts: 0,
      });
      const ignoreSession = onChange(() => session() || client.dispose());
      const end = () => {
        ignoreSession();
        client.dispose();
      };
      const complete = client.subscribe(params, {
        next: (result) => {
          notePosition(result);
          sink.next(result);
        },
        error: (error) => {
          end();
          sink.error(readable(error, token));
        },
        complete: () => {
          end();
          sink.complete();
        },
      });
      return {
        unsubscribe() {
          complete();
          end();
        },
      };
    },
  };
}

function connectionParams(headers, token) {
  const params = Object.fromEntries(headers);
  return token ? { ...params, authorization: `Bearer ${token}` } : params;
}

/** graphql-ws rejects with the CloseEvent itself, which would be shown as {"isTrusted":true}. */
function readable(error, token) {
  if (!(error instanceof CloseEvent)) return error;
  if (token && error.code === REFUSED_CLOSE) expire();
  return plainError(`The socket was closed: ${error.code} ${error.reason || '(no reason given)'}`);
}

/** GraphiQL prints an error's stack, and this one's would only speak of this file. */
function plainError(message) {
  const error = new Error(message);
  delete error.stack;
  return error;
}

function isRefused({ data, errors }) {
  return !data && Boolean(errors?.some((error) => error.extensions?.code === 'UNAUTHENTICATED'));
}

/** Signing in by any mutation is remembered; signing the remembered session out is too. */
function noteSession(result, token) {
  if (learn(result) || !token) return;
  const ended = result.data?.logOut ?? result.data?.deleteAccount;
  if (ended && !ended.errors?.length) forget();
}

let refreshing = null;

/** The remembered access token, renewed if it is about to end; null if nobody is signed in. */
async function freshToken() {
  const { refreshToken, expiresAtMs } = session() ?? {};
  if (refreshToken && expiresAtMs !== null && expiresAtMs - MARGIN_MS < Date.now()) {
    // One at a time: a refresh token is spent by its first use.
    refreshing ??= refresh(session()).finally(() => (refreshing = null));
    await refreshing;
  }
  return session()?.accessToken ?? null;
}

async function refresh({ refreshToken, username }) {
  const result = await send({ query: REFRESH, variables: { refreshToken } }, new Headers(), null);
  if (!learn(result, username)) forget();
}
