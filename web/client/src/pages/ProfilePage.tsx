// A person: who they are, what one does about them, and their tweets, likes, followers and whom they follow.
import { useQuery } from '@apollo/client/react';
import { useState } from 'react';
import { useParams } from 'wouter';

import * as operations from '../generated';
import { inWords } from '../net/words';
import { People, Tweets } from '../ui/Lists';
import { Tabs } from '../ui/Tabs';
import { useConnection } from '../ui/useConnection';
import { useTitle } from '../ui/useTitle';
import { ProfileHeading } from './ProfileHeading';

const VIEWS = {
  TWEETS: 'Tweets',
  TWEETS_AND_REPLIES: 'Replies',
  RETWEETS: 'Retweets',
  LIKES: 'Likes',
  FOLLOWERS: 'Followers',
  FOLLOWING: 'Following',
} as const;
type View = keyof typeof VIEWS;

export function ProfilePage() {
  const { username = '' } = useParams();
  const [view, choose] = useState<View>('TWEETS');
  const asked = { variables: { username }, fetchPolicy: 'cache-and-network' } as const;
  const { data, error } = useQuery(operations.ProfileDocument, asked);
  const user = data?.user as operations.UserPartsFragment | null | undefined;
  useTitle(user?.displayName ?? `@${username}`);
  if (user === null) return <p className="empty">Nobody here is called @{username}.</p>;
  if (!user) return error ? <p className="problem">{inWords(error)}</p> : <p className="empty">Fetching</p>;
  return (
    <>
      <ProfileHeading user={user} />
      <Tabs label="What of theirs" names={VIEWS} chosen={view} onChoose={choose} />
      <Viewed username={user.username} view={view} />
    </>
  );
}

function Viewed({ username, view }: { username: string; view: View }) {
  if (view === 'LIKES') return <Likes username={username} />;
  if (view === 'FOLLOWERS') return <Followers username={username} />;
  if (view === 'FOLLOWING') return <Following username={username} />;
  return <Theirs username={username} filter={view} />;
}

function Theirs({ username, filter }: { username: string; filter: operations.UserTweetFilter }) {
  const asked = { username, filter, after: null };
  const list = useConnection(operations.UserTweetsDocument, asked, (data) => data.user?.tweets);
  return <Tweets list={list} label={VIEWS[filter]} empty="Nothing here yet." />;
}

function Likes({ username }: { username: string }) {
  const list = useConnection(operations.UserLikesDocument, { username, after: null }, (data) => data.user?.likes);
  return <Tweets list={list} label="Likes" empty="Nothing liked yet." />;
}

function Followers({ username }: { username: string }) {
  const list = useConnection(operations.FollowersDocument, { username, after: null }, (data) => data.user?.followers);
  return <People list={list} label="Followers" empty="Nobody follows them yet." />;
}

function Following({ username }: { username: string }) {
  const list = useConnection(operations.FollowingDocument, { username, after: null }, (data) => data.user?.following);
  return <People list={list} label="Following" empty="They follow nobody yet." />;
}
