// Lists of tweets and of people, with their next page and with what stands there when there is nothing.
import type { UserPartsFragment } from '../generated';
import { More } from './More';
import { TweetCard } from './TweetCard';
import type { List } from './useConnection';
import { UserCard } from './UserCard';

interface Props<Edge> {
  list: List<Edge, unknown>;
  label: string;
  empty: string;
}

export function Tweets({ list, label, empty }: Props<{ cursor: string; node: { id: string } }>) {
  return (
    <>
      <ol className="list" aria-label={label}>
        {list.edges.map(({ cursor, node }) => (
          <li key={cursor}>
            <TweetCard id={node.id} />
          </li>
        ))}
      </ol>
      <End list={list} empty={empty} />
    </>
  );
}

export function People({ list, label, empty }: Props<{ cursor: string; node: UserPartsFragment }>) {
  return (
    <>
      <ol className="list" aria-label={label}>
        {list.edges.map(({ cursor, node }) => (
          <li key={cursor}>
            <UserCard user={node} />
          </li>
        ))}
      </ol>
      <End list={list} empty={empty} />
    </>
  );
}

export function End({ list, empty }: { list: List<unknown, unknown>; empty: string }) {
  const { hasMore, busy, error, more, edges } = list;
  if (!hasMore && !busy && !error) return edges.length ? null : <p className="empty">{empty}</p>;
  return <More hasMore={hasMore} busy={busy} error={error} onMore={more} />;
}
