// A home timeline as values: what a page and a live event make of it. Pure; knows no network and no screen.

export interface Person {
  id: string;
  username: string;
  displayName: string;
}

/** An entry; the tweet itself is in the cache. `own` entries are shown at once. */
export interface Entry {
  cursor: string;
  tweetId: string;
  own: boolean;
  retweetedBy: Person | null;
}

export interface Page {
  entries: readonly Entry[];
  endCursor: string | null;
  hasNextPage: boolean;
}

/** Newest first. `unseen` holds the cursors of entries that wait until the reader asks for them. */
export interface Timeline extends Page {
  unseen: ReadonlySet<string>;
}

export type Change = { kind: 'added'; entry: Entry } | { kind: 'removed'; cursor: string };

export const EMPTY: Timeline = { entries: [], unseen: new Set(), endCursor: null, hasNextPage: false };

// A window that is left open for days must not grow without end; what falls off is fetched again by scrolling.
const KEPT = 1000;

/** The timeline after an event. Idempotent: applied twice, or to a page that shows it already, it changes nothing. */
export function applied(timeline: Timeline, change: Change): Timeline {
  if (change.kind === 'removed') return without(timeline, (entry) => entry.cursor === change.cursor);
  const { entry } = change;
  if (timeline.entries.some((one) => one.cursor === entry.cursor)) {
    return { ...timeline, entries: timeline.entries.map((one) => (one.cursor === entry.cursor ? entry : one)) };
  }
  const unseen = entry.own ? timeline.unseen : new Set([...timeline.unseen, entry.cursor]);
  return bounded({ ...timeline, entries: [entry, ...timeline.entries], unseen });
}

/**
 * With the page behind it, and on top of that what happened while it was fetched. The page knows the order: what a late
 * event had put above it moves to where it belongs.
 */
export function extended(timeline: Timeline, page: Page, meanwhile: readonly Change[]): Timeline {
  const behind = new Set(page.entries.map((entry) => entry.cursor));
  const above = timeline.entries.filter((entry) => !behind.has(entry.cursor));
  const unseen = new Set([...timeline.unseen].filter((cursor) => !behind.has(cursor)));
  return meanwhile.reduce(applied, { ...page, entries: [...above, ...page.entries], unseen });
}

/** A page in its place, and on top of it what happened while it was fetched. What leads and was not there waits. */
export function replaced(timeline: Timeline, page: Page, meanwhile: readonly Change[]): Timeline {
  const seen = new Set(
    timeline.entries.filter(({ cursor }) => !timeline.unseen.has(cursor)).map(({ cursor }) => cursor),
  );
  const firstSeen = page.entries.findIndex((entry) => seen.has(entry.cursor));
  const leading = page.entries.slice(0, Math.max(firstSeen, 0));
  const unseen = new Set(leading.filter((entry) => !entry.own).map((entry) => entry.cursor));
  return meanwhile.reduce(applied, { ...page, unseen });
}

/** Without the entries of a tweet that is gone. */
export function withoutTweet(timeline: Timeline, tweetId: string): Timeline {
  return without(timeline, (entry) => entry.tweetId === tweetId);
}

export function allSeen(timeline: Timeline): Timeline {
  return { ...timeline, unseen: new Set() };
}

/** What is shown: a tweet that came by several roads stands once, where it came last. */
export function shown(timeline: Timeline): Entry[] {
  return collapsed(timeline.entries.filter((entry) => !timeline.unseen.has(entry.cursor)));
}

/** How many tweets wait that are not shown already. */
export function waiting(timeline: Timeline): number {
  return collapsed(timeline.entries).length - shown(timeline).length;
}

function collapsed(entries: readonly Entry[]): Entry[] {
  const met = new Set<string>();
  return entries.filter(({ tweetId }) => !met.has(tweetId) && met.add(tweetId));
}

function without(timeline: Timeline, gone: (entry: Entry) => boolean): Timeline {
  const left = timeline.entries.filter((entry) => !gone(entry));
  if (left.length === timeline.entries.length) return timeline;
  const unseen = new Set(left.filter(({ cursor }) => timeline.unseen.has(cursor)).map(({ cursor }) => cursor));
  return { ...timeline, entries: left, unseen };
}

function bounded(timeline: Timeline): Timeline {
  if (timeline.entries.length <= KEPT) return timeline;
  const entries = timeline.entries.slice(0, KEPT);
  const kept = new Set(entries.map((entry) => entry.cursor));
  const unseen = new Set([...timeline.unseen].filter((cursor) => kept.has(cursor)));
  return { entries, unseen, endCursor: entries.at(-1)?.cursor ?? null, hasNextPage: true };
}
