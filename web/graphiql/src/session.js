// Who this browser tab is signed in as. Never sends a request.

// sessionStorage: survives a reload, and a token is gone when its tab is.
const KEY = 'perch:session';
const listeners = new Set();
let current = JSON.parse(sessionStorage.getItem(KEY));

/** `{ username, accessToken, refreshToken, expiresAtMs }` or null; the same object until it changes. */
export function session() {
  return current;
}

/** Calls the listener after each change; gives the function that stops it. */
export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function forget() {
  keep(null);
}

/** The access token is no longer good: the next request renews it, if that can be. */
export function expire() {
  if (current?.refreshToken) keep({ ...current, expiresAtMs: 0 });
  else forget();
}

/** Keeps the tokens that a mutation's result carries (logIn, signUp, changePassword), under any alias. True if there were any. */
export function learn(result, username = null) {
  const payload = Object.values(result.data ?? {}).find((value) => value?.tokens?.accessToken);
  if (!payload) return false;
  const { accessToken, refreshToken = null, accessTokenExpiresAt } = payload.tokens;
  const expiresAtMs = accessTokenExpiresAt ? Date.parse(accessTokenExpiresAt) : null;
  keep({ username: payload.viewer?.user?.username ?? username, accessToken, refreshToken, expiresAtMs });
  return true;
}

function keep(next) {
  current = next;
  if (next) sessionStorage.setItem(KEY, JSON.stringify(next));
  else sessionStorage.removeItem(KEY);
  listeners.forEach((listener) => listener());
}
