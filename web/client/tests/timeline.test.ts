// Pages and events joined in any order of arrival show what there is: the recipe of docs/live.md, as code.
import { describe, expect, it } from 'vitest';

import * as timelines from '../src/live/timeline';

const PAGE = 5;

function entry(number: number, more: Partial<timelines.Entry> = {}): timelines.Entry {
  return { cursor: `c${number}`, tweetId: `t${number}`, own: false, retweetedBy: null, ...more };
}

function page(entries: timelines.Entry[], hasNextPage = false): timelines.Page {
  return { entries, endCursor: entries.at(-1)?.cursor ?? null, hasNextPage };
}

const cursors = (entries: readonly timelines.Entry[]) => entries.map(({ cursor }) => cursor);
const first = timelines.replaced(timelines.EMPTY, page([entry(2), entry(1)]), []);

describe('a timeline', () => {
  it('keeps tweets of others behind a number, and shows own ones at once', () => {
    const others = timelines.applied(first, { kind: 'added', entry: entry(3) });
    const both = timelines.applied(others, { kind: 'added', entry: entry(4, { own: true }) });
    expect(cursors(timelines.shown(both))).toEqual(['c4', 'c2', 'c1']);
    expect(timelines.waiting(both)).toBe(1);
    expect(cursors(timelines.shown(timelines.allSeen(both)))).toEqual(['c4', 'c3', 'c2', 'c1']);
  });

  it('takes an event twice without harm', () => {
    const change = { kind: 'added', entry: entry(3) } as const;
    const once = timelines.applied(first, change);
    expect(timelines.applied(once, change)).toEqual(once);
    const gone = timelines.applied(once, { kind: 'removed', cursor: 'c3' });
    expect(gone).toEqual(first);
    expect(timelines.applied(gone, { kind: 'removed', cursor: 'c3' })).toEqual(gone);
  });

  it('shows a tweet that came by two roads once, where it came last', () => {
    const again = timelines.applied(first, { kind: 'added', entry: entry(9, { tweetId: 't1', own: true }) });
    expect(cursors(timelines.shown(again))).toEqual(['c9', 'c2']);
  });

  it('lets what a resync brought on top wait, if the reader had something to read', () => {
    const again = timelines.replaced(first, page([entry(4), entry(3), entry(2)]), []);
    expect(cursors(timelines.shown(again))).toEqual(['c2']);
    expect(timelines.waiting(again)).toBe(2);
  });

  it('forgets a deleted tweet in all its entries', () => {
    const twice = timelines.applied(first, { kind: 'added', entry: entry(9, { tweetId: 't1' }) });
    expect(cursors(timelines.withoutTweet(twice, 't1').entries)).toEqual(['c2']);
  });

  it.each(Array.from({ length: 300 }, (_, seed) => seed + 1))('agrees with the server, history %i', (seed) => {
    const random = generator(seed);
    const history = new History(random);
    for (let step = 0; step < 60; step += 1) history.step();
    history.finish();
    expect(cursors(timelines.shown(timelines.allSeen(history.client)))).toEqual(history.truth.map((n) => `c${n}`));
  });
});

/** A server whose events arrive late and whose answers take their time, and a client that joins them. */
class History {
  truth: number[] = [];
  client = timelines.EMPTY;
  private readonly log: timelines.Change[] = [];
  private delivered = 0;
  private newest = 0;
  private meanwhile: timelines.Change[] = [];
  private asked: { after: string | null; again: boolean; answer: timelines.Page | null } | null = null;

  constructor(private readonly random: () => number) {
    for (let count = 0; count < 12; count += 1) this.truth.unshift(++this.newest);
    this.client = timelines.replaced(this.client, this.answer(null), []);
  }

  step(): void {
    const dice = this.random();
    if (dice < 0.3) this.happen();
    else if (dice < 0.6) this.deliver();
    else if (!this.asked) this.ask(dice < 0.8);
    else if (!this.asked.answer) this.asked.answer = this.answer(this.asked.after);
    else this.land();
  }

  finish(): void {
    if (this.asked) this.asked.answer ??= this.answer(this.asked.after);
    while (this.delivered < this.log.length) this.deliver();
    if (this.asked) this.land();
    while (this.client.hasNextPage) {
      this.ask(false);
      this.asked!.answer = this.answer(this.asked!.after);
      this.land();
    }
  }

  private happen(): void {
    if (this.truth.length > 3 && this.random() < 0.4) {
      const [gone] = this.truth.splice(Math.floor(this.random() * this.truth.length), 1);
      this.log.push({ kind: 'removed', cursor: `c${gone}` });
    } else {
      this.truth.unshift(++this.newest);
      this.log.push({ kind: 'added', entry: entry(this.newest) });
    }
  }

  private deliver(): void {
    const change = this.log[this.delivered];
    if (!change) return;
    this.delivered += 1;
    if (this.asked) this.meanwhile.push(change);
    this.client = timelines.applied(this.client, change);
  }

  private ask(again: boolean): void {
    if (!again && !this.client.hasNextPage) return;
    this.asked = { after: again ? null : this.client.endCursor, again, answer: null };
    this.meanwhile = [];
  }

  private land(): void {
    const { again, answer } = this.asked!;
    this.asked = null;
    this.client = (again ? timelines.replaced : timelines.extended)(this.client, answer!, this.meanwhile);
  }

  private answer(after: string | null): timelines.Page {
    const behind = after === null ? this.truth : this.truth.filter((number) => number < Number(after.slice(1)));
    return page(
      behind.slice(0, PAGE).map((number) => entry(number)),
      behind.length > PAGE,
    );
  }
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
