// Who is signed in, here and in the other tabs of this browser. Never sends a request.
import type { TokensPartsFragment } from '../generated';

export interface Person {
  id: string;
  username: string;
  displayName: string;
}

export interface Session {
  person: Person;
  accessToken: string;
  expiresAtMs: number;
  refreshToken: string;
}

/** Why nobody is signed in any more: of their own will, or because the server says that the session is over. */
export type Farewell = 'left' | 'ended';

// docs/web-client.md says why localStorage: a log-in outlives its tab, and all tabs must spend the same refresh token.
const KEY = 'perch:session';

const listeners = new Set<() => void>();
let current = stored();
let farewell: Farewell | null = null;

window.addEventListener('storage', (event) => {
  if (event.key === KEY || event.key === null) set(stored(), 'left');
});

/** The same object until it changes; null for nobody. */
export function session(): Session | null {
  return current;
}

export function lastFarewell(): Farewell | null {
  return farewell;
}

/** Calls the listener after each change; gives the function that stops it. */
export function onSession(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function signIn(person: Person, tokens: TokensPartsFragment): void {
  const { accessToken, accessTokenExpiresAt, refreshToken } = tokens;
  keep({ person, accessToken, refreshToken, expiresAtMs: Date.parse(accessTokenExpiresAt) });
}

/** Goes on with fresh tokens of the same session. */
export function carryOn(tokens: TokensPartsFragment): void {
  if (current) signIn(current.person, tokens);
}

export function rename(displayName: string): void {
  if (current) keep({ ...current, person: { ...current.person, displayName } });
}

export function signOut(why: Farewell): void {
  localStorage.removeItem(KEY);
  set(null, why);
}

/** What another tab has stored meanwhile, if this tab was not told yet. */
export function catchUp(): Session | null {
  const found = stored();
  if (found?.accessToken !== current?.accessToken) set(found, 'left');
  return current;
}

function keep(next: Session): void {
  localStorage.setItem(KEY, JSON.stringify(next));
  set(next, null);
}

function set(next: Session | null, why: Farewell | null): void {
  current = next;
  farewell = next ? null : why;
  listeners.forEach((listener) => listener());
}

function stored(): Session | null {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? 'null') as Session | null;
  } catch {
    return null;
  }
}
