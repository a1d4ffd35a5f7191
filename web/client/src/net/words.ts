// Errors in words, for whoever reads the screen.
import { CombinedGraphQLErrors } from '@apollo/client';

import { isUnanswered } from './endpoint';

const WORDS: Record<string, string> = {
  UNAUTHENTICATED: 'Log in to do this.',
  UNAVAILABLE: 'Perch cannot do this just now. Try again in a moment.',
  OVERLOADED: 'Perch has too much to do just now. Try again in a moment.',
  QUERY_TOO_COSTLY: 'This asks for too much at once.',
  INTERNAL_SERVER_ERROR: 'Something broke on the side of Perch. Try again.',
};

/** How long to wait before the next try, if the error says so. */
export function retryAfterSeconds(error: unknown): number | null {
  const told = firstOf(error)?.extensions?.['retryAfter'];
  return typeof told === 'number' ? told : null;
}

export function inWords(error: unknown): string {
  if (isUnanswered(error)) return 'Perch does not answer. Is the network there?';
  const first = firstOf(error);
  const code = first?.extensions?.['code'];
  if (code === 'RATE_LIMITED') return `That was too often. Try again in ${duration(retryAfterSeconds(error) ?? 60)}.`;
  return (typeof code === 'string' && WORDS[code]) || first?.message || 'That did not work. Try again.';
}

/** Seconds as people say them, never too few. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${seconds} ${seconds === 1 ? 'second' : 'seconds'}`;
  if (seconds < 90 * 60) return `${Math.ceil(seconds / 60)} minutes`;
  return `${Math.ceil(seconds / 3600)} hours`;
}

function firstOf(error: unknown): { message: string; extensions?: Record<string, unknown> } | undefined {
  return CombinedGraphQLErrors.is(error) ? error.errors[0] : undefined;
}
