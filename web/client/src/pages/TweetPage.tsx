// One tweet: what it answers, itself, a place to answer it, and its replies.
import { useEffect, useRef } from 'react';
import { useParams, useSearch } from 'wouter';

import { TweetDocument } from '../generated';
import { usePerson } from '../session/useSession';
import { Composer } from '../ui/Composer';
import { Tweets } from '../ui/Lists';
import { TweetCard } from '../ui/TweetCard';
import { useConnection } from '../ui/useConnection';
import { useTitle } from '../ui/useTitle';

export function TweetPage() {
  const { id = '' } = useParams();
  const person = usePerson();
  const asksToReply = new URLSearchParams(useSearch()).has('reply');
  const field = useRef<HTMLTextAreaElement>(null);
  const list = useConnection(TweetDocument, { id, after: null }, (data) => data.tweet?.replies);
  const tweet = list.data?.tweet;
  useTitle('Tweet');
  useEffect(() => {
    if (asksToReply && tweet?.id) field.current?.focus();
  }, [asksToReply, tweet?.id]);
  if (list.data && !tweet) return <p className="empty">This tweet is gone, or was never there.</p>;
  return (
    <>
      <h1 className="hidden">Tweet</h1>
      {tweet?.inReplyTo && <TweetCard id={tweet.inReplyTo.id} />}
      {tweet && <TweetCard id={tweet.id} main />}
      {tweet && person && (
        <Composer
          key={tweet.id}
          inReplyTo={tweet.id}
          label="Your reply"
          button="Reply"
          field={field}
          onPosted={list.refetch}
        />
      )}
      <h2 className="hidden">Replies</h2>
      <Tweets list={list} label="Replies" empty="No replies yet." />
    </>
  );
}
