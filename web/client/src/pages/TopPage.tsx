// The most popular tweets, over an hour, a day or a week.
import { useState } from 'react';

import { type TopWindow, TopTweetsDocument } from '../generated';
import { End } from '../ui/Lists';
import { Tabs } from '../ui/Tabs';
import { TweetCard } from '../ui/TweetCard';
import { useConnection } from '../ui/useConnection';
import { useTitle } from '../ui/useTitle';

const WINDOWS = { HOUR: 'This hour', DAY: 'Today', WEEK: 'This week' } as const;

export function TopPage() {
  const [window, choose] = useState<TopWindow>('DAY');
  const list = useConnection(TopTweetsDocument, { first: 20, window, after: null }, (data) => data.topTweets);
  useTitle('Top');
  return (
    <>
      <div className="page-heading">
        <h1>Top tweets</h1>
        <Tabs label="Over what time" names={WINDOWS} chosen={window} onChoose={choose} />
      </div>
      <ol className="list" aria-label="Top tweets">
        {list.edges.map(({ cursor, node }) => (
          <li key={cursor}>
            <TweetCard id={node.tweet.id} rank={node.rank} />
          </li>
        ))}
      </ol>
      <End
        list={list}
        empty="Nothing is popular yet. A tweet is once five likes, or as much in retweets and replies, have come together."
      />
    </>
  );
}
