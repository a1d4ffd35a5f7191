// Access tokens that are good: renewed before they end, once for all tabs, since a refresh token is spent by its first use.
import { print } from 'graphql';

import { type RefreshSessionMutation, RefreshSessionDocument } from '../generated';
import { ENDPOINT, NotNow, patientFetch } from '../net/endpoint';
import { carryOn, catchUp, session, signOut } from './session';

// A token this close to its end is renewed first, so that it does not expire on the way.
const MARGIN_MS = 20_000;
const LOCK = 'perch:refresh';
const QUERY = print(RefreshSessionDocument);

let renewing: Promise<void> | null = null;

/** The access token, fresh; null for nobody. Rejects where the server cannot be reached. */
export async function freshToken(): Promise<string | null> {
  const found = session();
  if (found && found.expiresAtMs - MARGIN_MS < Date.now()) await renew(found.accessToken);
  return session()?.accessToken ?? null;
}

/** Replaces this access token, unless somebody has already. Ends the session here if the server says that it is over. */
export function renew(stale: string): Promise<void> {
  renewing ??= alone(() => exchange(stale)).finally(() => (renewing = null));
  return renewing;
}

/** One tab at a time, where the browser can say so: it can over TLS and on this machine. */
function alone(work: () => Promise<void>): Promise<void> {
  return navigator.locks ? navigator.locks.request(LOCK, work) : work();
}

async function exchange(stale: string): Promise<void> {
  const found = catchUp();
  if (!found || found.accessToken !== stale) return;
  const response = await patientFetch(ENDPOINT, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: QUERY, variables: { refreshToken: found.refreshToken } }),
  });
  const answer = (await response.json()) as { data?: RefreshSessionMutation | null };
  const payload = answer.data?.refreshSession;
  if (payload?.tokens) carryOn(payload.tokens);
  else if (payload?.errors.length) signOut('ended');
  else throw new NotNow();
}
