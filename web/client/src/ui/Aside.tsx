// Beside the page on wide screens: a field to search from anywhere, and what is popular today.
import { useQuery } from '@apollo/client/react';
import { Link, useLocation, useRoute } from 'wouter';

import { TopTweetsDocument } from '../generated';
import { TEXT_LIMIT } from '../text/length';
import { paths } from './paths';
import { SearchField } from './SearchField';
import { useWide } from './useWide';

const SHOWN = 5;
const REFRESH_MS = 60_000;

/** Nothing, and nothing fetched, where there is no room. */
export function Aside() {
  return useWide() ? <Contents /> : null;
}

function Contents() {
  const [, navigate] = useLocation();
  const [searching] = useRoute('/search');
  const [top] = useRoute('/top');
  return (
    <aside className="aside" aria-label="More">
      {!searching && <SearchField onSearch={(query) => navigate(paths.search(query))} />}
      {!top && <Popular />}
      <p className="fine">
        {TEXT_LIMIT} characters, one branch. Keys: <kbd>j</kbd> <kbd>k</kbd> from tweet to tweet, <kbd>n</kbd> to write.
        <br />
        <a href="/">What runs here</a>
      </p>
    </aside>
  );
}

function Popular() {
  const variables = { first: SHOWN, window: 'DAY' as const, after: null };
  const { data } = useQuery(TopTweetsDocument, {
    variables,
    pollInterval: REFRESH_MS,
    skipPollAttempt: () => document.hidden,
    fetchPolicy: 'cache-and-network',
  });
  const edges = data?.topTweets?.edges?.slice(0, SHOWN) ?? [];
  if (!edges.length) return null;
  return (
    <section className="panel" aria-labelledby="popular">
      <h2 id="popular">Today's top</h2>
      <ol className="popular">
        {edges.map(({ cursor, node: { rank, tweet } }) => (
          <li key={cursor}>
            <span className="popular-rank" aria-hidden="true">
              {rank}
            </span>
            <Link href={paths.tweet(tweet!.id!)}>
              <span dir="auto">{tweet!.text}</span>
              <span className="quiet">@{tweet!.author!.username}</span>
            </Link>
          </li>
        ))}
      </ol>
    </section>
  );
}
