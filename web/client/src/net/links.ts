// The road of an operation: asked again where no answer came, with a token that is good, then over HTTP.
import { ApolloLink, CombinedGraphQLErrors, HttpLink } from '@apollo/client';
import { SetContextLink } from '@apollo/client/link/context';
import { ErrorLink } from '@apollo/client/link/error';
import { RetryLink } from '@apollo/client/link/retry';
import { from, switchMap } from 'rxjs';

import { freshToken, renew } from '../session/refresh';
import { ENDPOINT, isUnanswered, patientFetch } from './endpoint';

declare module '@apollo/client' {
  interface DefaultContext {
    /** How often this may be asked in all; it must do no harm twice. */
    tries?: number;
    token?: string | null;
  }
}

// About half a minute: longer than a server takes to start again, or a replica set to elect.
const TRIES = 15;
/** For what a person waits for to have happened: several minutes. */
export const MANY_TRIES = 100;

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

export const link = ApolloLink.from([again, renewed, authorized, new HttpLink({ uri: ENDPOINT, fetch: patientFetch })]);

function isUnauthenticated(error: unknown): boolean {
  return CombinedGraphQLErrors.is(error) && error.errors.some((one) => one.extensions?.['code'] === 'UNAUTHENTICATED');
}
