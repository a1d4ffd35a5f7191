// One tweet: who, what, when, and what one can do to it. Reads the one copy in the cache, so that every list agrees.
import { useFragment } from '@apollo/client/react';
import { Link } from 'wouter';

import { type TweetPartsFragment, TweetPartsFragmentDoc } from '../generated';
import { ago, exactly } from '../text/time';
import { Avatar } from './Avatar';
import { RetweetIcon } from './icons';
import { paths } from './paths';
import { TweetActions } from './TweetActions';
import { TweetText } from './TweetText';

interface Props {
  id: string;
  retweetedBy?: { username: string; displayName: string } | null;
  /** Its place in a list that has places. */
  rank?: number;
  /** The tweet that a page is about. */
  main?: boolean;
}

/** Nothing where the tweet is gone. */
export function TweetCard({ id, retweetedBy, rank, main = false }: Props) {
  const found = useFragment({
    fragment: TweetPartsFragmentDoc,
    fragmentName: 'TweetParts',
    from: { __typename: 'Tweet', id },
  });
  if (!found.complete) return null;
  const tweet = found.data as TweetPartsFragment;
  return (
    <article
      className={main ? 'tweet tweet-main' : 'tweet'}
      data-tweet={id}
      tabIndex={-1}
      aria-label={`${tweet.author.displayName}: ${tweet.text}`}
    >
      {rank !== undefined && <span className="tweet-rank">{rank}</span>}
      {retweetedBy && (
        <p className="tweet-why">
          <RetweetIcon /> <Link href={paths.user(retweetedBy.username)}>{retweetedBy.displayName}</Link> retweeted
        </p>
      )}
      <Avatar person={tweet.author} large={main} />
      <div className="tweet-body">
        <Heading tweet={tweet} />
        {tweet.isReply && <InReplyTo tweet={tweet} />}
        <TweetText text={tweet.text} />
        <TweetActions tweet={tweet} />
      </div>
    </article>
  );
}

function Heading({ tweet: { id, author, createdAt } }: { tweet: TweetPartsFragment }) {
  return (
    <p className="tweet-heading">
      <Link className="tweet-author" href={paths.user(author.username)}>
        <strong dir="auto">{author.displayName}</strong> <span className="quiet">@{author.username}</span>
      </Link>
      <Link className="tweet-time quiet" href={paths.tweet(id)}>
        <time dateTime={createdAt} title={exactly(createdAt)}>
          {ago(createdAt, Date.now())}
        </time>
      </Link>
    </p>
  );
}

function InReplyTo({ tweet: { inReplyTo } }: { tweet: TweetPartsFragment }) {
  if (!inReplyTo) return <p className="tweet-why">answers a tweet that is gone</p>;
  return (
    <p className="tweet-why">
      answers <Link href={paths.tweet(inReplyTo.id)}>@{inReplyTo.author.username}</Link>
    </p>
  );
}
