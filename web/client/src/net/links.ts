// The road of an operation: in its turn, again where no answer came, with a token that is good, then over HTTP.
import { ApolloLink, CombinedGraphQLErrors, HttpLink } from '@apollo/client';
import { SetContextLink } from '@apollo/client/link/context';
import { ErrorLink } from '@apollo/client/link/error';
import { RetryLink } from '@apollo/client/link/retry';
import { finalize, from, switchMap } from 'rxjs';

import { freshToken, renew } from '../session/refresh';
import { ENDPOINT, isUnanswered, patientFetch } from './endpoint';

declare module '@apollo/client' {
  interface DefaultContext {
    /** How often this may be asked in all; it must do no harm twice. */
    tries?: number;
    /** What it is about: operations of the same name go one after the other. */
    turn?: string;
    token?: string | null;
  }
}

// About half a minute: longer than a server takes to start again, or a replica set to elect.
const TRIES = 15;
/** For what a person waits for to have happened: several minutes. */
export const MANY_TRIES = 100;

const last = new Map<string, Promise<void>>();

/** A like and its undoing must arrive in that order, whichever of them has to be sent again. */
const inTurn = new ApolloLink((operation, forward) => {
  const turn = operation.getContext()['turn'] as string | undefined;
  if (!turn) return forward(operation);
  const before = last.get(turn) ?? Promise.resolve();
  let done = () => {};
  const mine = new Promise<void>((resolve) => (done = resolve));
  last.set(turn, mine);
  const ended = () => {
    done();
    if (last.get(turn) === mine) last.delete(turn);
  };
  return from(before).pipe(
    switchMap(() => forward(operation)),
    finalize(ended),
  );
});

const again = new RetryLink({
  // With full jitter: the others lost their server too.
  delay: { initial: 400, max: 4000, jitter: true },
  attempts: (count, operation, error) =>
    isUnanswered(error) && count < ((operation.getContext()['tries'] as number | undefined) ?? TRIES),
});

/** The server refused the token, for instance since this clock goes wrong: once more with another, or without. */
const renewed = new ErrorLink(({ error, operation, forward }) => {
  const token = operation.getContext()['token'] as string | null | undefined;
  if (!token || !isUnauthenticated(error)) return;
  return from(renew(token)).pipe(switchMap(() => forward(operation)));
});

const authorized = new SetContextLink(async ({ headers }) => {
  const token = await freshToken();
  return { token, headers: { ...headers, ...(token && { authorization: `Bearer ${token}` }) } };
});

const http = new HttpLink({ uri: ENDPOINT, fetch: patientFetch });

export const link = ApolloLink.from([inTurn, again, renewed, authorized, http]);

function isUnauthenticated(error: unknown): boolean {
  return CombinedGraphQLErrors.is(error) && error.errors.some((one) => one.extensions?.['code'] === 'UNAUTHENTICATED');
}
