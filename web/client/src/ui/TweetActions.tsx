// The row below a tweet: reply, retweet, like, and delete for its author.
import type { ReactNode } from 'react';
import { useRef } from 'react';
import { useLocation } from 'wouter';

import type { TweetPartsFragment } from '../generated';
import { usePerson } from '../session/useSession';
import { BinIcon, HeartIcon, ReplyIcon, RetweetIcon } from './icons';
import { paths } from './paths';
import { useVerbs } from './verbs';

export function TweetActions({ tweet }: { tweet: TweetPartsFragment }) {
  const verbs = useVerbs();
  const person = usePerson();
  const [, navigate] = useLocation();
  const { viewerHasLiked: liked, viewerHasRetweeted: retweeted } = tweet;
  const like = () =>
    verbs.toTweet(liked ? 'unlikeTweet' : 'likeTweet', tweet, {
      viewerHasLiked: !liked,
      likeCount: tweet.likeCount + (liked ? -1 : 1),
    });
  const retweet = () =>
    verbs.toTweet(retweeted ? 'undoRetweet' : 'retweet', tweet, {
      viewerHasRetweeted: !retweeted,
      retweetCount: tweet.retweetCount + (retweeted ? -1 : 1),
    });
  return (
    <div className="tweet-actions" role="group" aria-label="Actions">
      <Action name="Reply" count={tweet.replyCount} act={() => navigate(person ? paths.reply(tweet.id) : paths.logIn)}>
        <ReplyIcon />
      </Action>
      <Action name="Retweet" kind="retweet" count={tweet.retweetCount} pressed={retweeted} act={retweet}>
        <RetweetIcon />
      </Action>
      <Action name="Like" kind="like" count={tweet.likeCount} pressed={liked} act={like}>
        <HeartIcon filled={liked} />
      </Action>
      {person?.id === tweet.author.id && <Delete act={() => verbs.deleteTweet(tweet.id)} />}
    </div>
  );
}

interface ActionProps {
  name: string;
  kind?: string;
  count: number;
  pressed?: boolean;
  act: () => unknown;
  children: ReactNode;
}

function Action({ name, kind = 'plain', count, pressed, act, children }: ActionProps) {
  return (
    <button
      type="button"
      className={`action action-${kind}`}
      aria-label={`${name}, ${count}`}
      {...(pressed !== undefined && { 'aria-pressed': pressed })}
      onClick={act}
    >
      {children}
      <span className="count">{count ? count.toLocaleString() : ''}</span>
    </button>
  );
}

/** Asks first: a deleted tweet does not come back. */
function Delete({ act }: { act: () => Promise<boolean> }) {
  const dialog = useRef<HTMLDialogElement>(null);
  return (
    <>
      <button
        type="button"
        className="action action-delete"
        aria-label="Delete"
        onClick={() => dialog.current?.showModal()}
      >
        <BinIcon />
      </button>
      <dialog ref={dialog} className="dialog" aria-label="Delete this tweet?">
        <h2>Delete this tweet?</h2>
        <p>It leaves every timeline at once and does not come back.</p>
        <form method="dialog" className="dialog-buttons">
          <button className="button button-plain">Keep it</button>
          <button className="button button-danger" onClick={() => void act()}>
            Delete it
          </button>
        </form>
      </dialog>
    </>
  );
}
