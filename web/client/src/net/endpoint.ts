// The endpoint over HTTP: one try, with an end, that tells "not now" from an answer.

export const ENDPOINT = new URL('/graphql', window.location.href).href;
export const SOCKET = ENDPOINT.replace(/^http/, 'ws');

// Perch gives up after six seconds itself; a proxy that holds a request longer has lost it.
const ANSWER_MS = 15_000;
const NOT_NOW = new Set([502, 503, 504]);

/** The server, or what stands before it, says that it cannot answer now. */
export class NotNow extends Error {
  constructor() {
    super('Perch cannot answer just now.');
  }
}

/** fetch, but it rejects after a while, and for the answers of a server that is going, coming or overloaded. */
export async function patientFetch(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  const signals = [AbortSignal.timeout(ANSWER_MS), ...(init.signal ? [init.signal] : [])];
  const response = await fetch(input, { ...init, signal: AbortSignal.any(signals) });
  if (NOT_NOW.has(response.status)) throw new NotNow();
  return response;
}

/** Whether this says that no answer came, rather than which: then it may be asked again. */
export function isUnanswered(error: unknown): boolean {
  if (error instanceof NotNow || error instanceof TypeError) return true;
  return error instanceof DOMException && error.name === 'TimeoutError';
}
