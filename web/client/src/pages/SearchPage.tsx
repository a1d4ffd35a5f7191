// Search of tweets, of everybody or of those one follows, and of people.
import { useState } from 'react';
import { useLocation, useSearchParams } from 'wouter';

import { type SearchScope, SearchTweetsDocument, SearchUsersDocument } from '../generated';
import { usePerson } from '../session/useSession';
import { People, Tweets } from '../ui/Lists';
import { paths } from '../ui/paths';
import { SearchField } from '../ui/SearchField';
import { Tabs } from '../ui/Tabs';
import { useConnection } from '../ui/useConnection';
import { useTitle } from '../ui/useTitle';

const EVERYONE = { EVERYONE: 'Tweets', PEOPLE: 'People' } as const;
const SIGNED_IN = { EVERYONE: 'Tweets', FOLLOWING: 'Following', PEOPLE: 'People' } as const;
type View = keyof typeof SIGNED_IN;

export function SearchPage() {
  const person = usePerson();
  const [, navigate] = useLocation();
  const [params] = useSearchParams();
  const [view, choose] = useState<View>('EVERYONE');
  const query = params.get('q') ?? '';
  useTitle(query ? `${query} · Search` : 'Search');
  return (
    <>
      <div className="page-heading">
        <h1>Search</h1>
        <SearchField key={query} initial={query} onSearch={(asked) => navigate(paths.search(asked))} />
        <Tabs<View>
          label="What is searched"
          names={(person ? SIGNED_IN : EVERYONE) as typeof SIGNED_IN}
          chosen={view}
          onChoose={choose}
        />
      </div>
      {!query ? (
        <p className="empty">Words, #hashtags, @names, or from:name for one author.</p>
      ) : view === 'PEOPLE' ? (
        <FoundPeople query={query} />
      ) : (
        <FoundTweets query={query} scope={view} />
      )}
    </>
  );
}

function FoundTweets({ query, scope }: { query: string; scope: SearchScope }) {
  const list = useConnection(SearchTweetsDocument, { query, scope, after: null }, (data) => data.searchTweets);
  return <Tweets list={list} label="Tweets found" empty="No tweet has all of these." />;
}

function FoundPeople({ query }: { query: string }) {
  const list = useConnection(SearchUsersDocument, { query, after: null }, (data) => data.searchUsers);
  return <People list={list} label="People found" empty="Nobody's name begins like this." />;
}
