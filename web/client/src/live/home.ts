// The home timeline of who is signed in: its pages and its live events, joined so that nothing is lost or doubled.
import { type EntryPartsFragment, type HomeTimelineQuery, HomeTimelineDocument } from '../generated';
import { client } from '../net/client';
import { session } from '../session/session';
import { follow, type LiveEvent, type Status } from './follow';
import * as timelines from './timeline';

export interface Home {
  timeline: timelines.Timeline;
  status: Status;
  /** What is being fetched, if anything is. */
  fetching: 'first' | 'older' | 'again' | null;
  /** Why the last fetch brought nothing. */
  error: unknown;
}

const PAGE = 20;
const LARGEST_PAGE = 100;

export class HomeTimeline {
  private home: Home = { timeline: timelines.EMPTY, status: 'connecting', fetching: null, error: null };
  private readonly listeners = new Set<() => void>();
  private readonly stopping = new AbortController();
  private position: string | null = null;
  /** What happens while a page is fetched, to be applied on top of it. */
  private meanwhile: timelines.Change[] = [];
  /** A resync was announced that no page has answered yet. */
  private stale = false;

  /** Fetches the first page and follows from there on. */
  async start(): Promise<void> {
    if (!(await this.reload('first')) || this.stopping.signal.aborted) return;
    await follow(
      {
        position: () => this.position,
        take: (event) => this.take(event),
        onStatus: (status) => this.onStatus(status),
      },
      this.stopping.signal,
    );
  }

  stop(): void {
    this.stopping.abort();
  }

  readonly current = (): Home => this.home;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly showNew = (): void => this.set({ timeline: timelines.allSeen(this.home.timeline) });

  /** The page behind the last one. Does nothing while something is fetched. */
  readonly older = async (): Promise<void> => {
    const { endCursor, hasNextPage } = this.home.timeline;
    if (this.home.fetching || !hasNextPage) return;
    await this.fetch('older', PAGE, endCursor, (page) => {
      const { timeline } = this.home;
      // So much happened meanwhile that what the page joins on to has been let go.
      if (timeline.endCursor !== endCursor) return timeline;
      return timelines.extended(timeline, page, this.meanwhile);
    });
    await this.settle();
  };

  /** After a page that could not be had. */
  readonly tryAgain = (): void => {
    if (this.home.fetching) return;
    if (this.position === null) void this.start();
    else void (this.stale ? this.settle() : this.older());
  };

  /** Own tweets come with the live events; where those do not flow, they are fetched. */
  posted(): void {
    if (this.home.status !== 'live') void this.refresh();
  }

  forget(tweetId: string): void {
    this.set({ timeline: timelines.withoutTweet(this.home.timeline, tweetId) });
  }

  private take(event: LiveEvent): void {
    if (event.__typename === 'TimelineResync') void this.refresh();
    else this.apply(changeOf(event));
    this.position = event.cursor;
  }

  private apply(change: timelines.Change): void {
    if (this.home.fetching) this.meanwhile.push(change);
    this.set({ timeline: timelines.applied(this.home.timeline, change) });
  }

  /** Fetches what is shown anew; at once, or as soon as the page has come that is being fetched. */
  private async refresh(): Promise<void> {
    this.stale = true;
    if (!this.home.fetching) await this.settle();
  }

  /** Fetches again until no resync is left without an answer. */
  private async settle(): Promise<void> {
    while (this.stale && !this.stopping.signal.aborted) {
      this.stale = false;
      if (await this.reload('again')) continue;
      // The links have tried for half a minute; the next connection, or the reader, tries again.
      this.stale = true;
      return;
    }
  }

  private onStatus(status: Status): void {
    this.set({ status });
    if (status === 'live' && this.stale && !this.home.fetching) void this.settle();
  }

  /** A page in the place of what is shown, as long as that. False if none could be had. */
  private async reload(why: 'first' | 'again'): Promise<boolean> {
    const shown = this.home.timeline.entries.length;
    const page = await this.fetch(why, Math.min(Math.max(shown, PAGE), LARGEST_PAGE), null, (found) =>
      timelines.replaced(this.home.timeline, found, this.meanwhile),
    );
    if (page && why === 'first') this.position = page.liveCursor;
    return page !== null;
  }

  /** A page, joined to what is shown. NOTE: in the same moment in which `meanwhile` ends, or an event would fall between. */
  private async fetch(
    why: NonNullable<Home['fetching']>,
    first: number,
    after: string | null,
    joined: (page: timelines.Page) => timelines.Timeline,
  ): Promise<FetchedPage | null> {
    this.meanwhile = [];
    this.set({ fetching: why, error: null });
    try {
      const variables = { first, after };
      const { data } = await client.query({ query: HomeTimelineDocument, variables, fetchPolicy: 'network-only' });
      const page = data!.homeTimeline;
      this.set({ fetching: null, timeline: joined(pageOf(page)) });
      return page;
    } catch (error) {
      this.set({ fetching: null, error });
      return null;
    }
  }

  private set(some: Partial<Home>): void {
    if (this.stopping.signal.aborted) return;
    this.home = { ...this.home, ...some };
    this.listeners.forEach((listener) => listener());
  }
}

type FetchedPage = HomeTimelineQuery['homeTimeline'];

function pageOf({ edges, pageInfo }: FetchedPage): timelines.Page {
  return { entries: edges.map(entryOf), endCursor: pageInfo.endCursor, hasNextPage: pageInfo.hasNextPage };
}

function changeOf(event: Exclude<LiveEvent, { __typename: 'TimelineResync' }>): timelines.Change {
  if (event.__typename === 'TimelineTweetRemoved') return { kind: 'removed', cursor: event.edgeCursor };
  return { kind: 'added', entry: entryOf(event.edge) };
}

function entryOf({ cursor, node, source, retweetedBy }: EntryPartsFragment): timelines.Entry {
  const me = session()?.person.id;
  return { cursor, tweetId: node.id, retweetedBy, own: source === 'SELF' || retweetedBy?.id === me };
}
