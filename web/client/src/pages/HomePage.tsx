// The home timeline: what one writes, what is new, and what came before.
import { useHome } from '../live/current';
import type { HomeTimeline } from '../live/home';
import { shown, waiting } from '../live/timeline';
import { inWords } from '../net/words';
import { Composer } from '../ui/Composer';
import { UpIcon } from '../ui/icons';
import { More } from '../ui/More';
import { TweetCard } from '../ui/TweetCard';
import { useTitle } from '../ui/useTitle';

export function HomePage({ home }: { home: HomeTimeline }) {
  const { timeline, fetching, error } = useHome(home);
  const entries = shown(timeline);
  const count = waiting(timeline);
  useTitle('Home', count);
  return (
    <>
      <h1 className="hidden">Home</h1>
      <Composer label="What is happening?" button="Post" onPosted={() => home.posted()} />
      <NewTweets count={count} onShow={home.showNew} />
      <ol className="list" aria-label="Home timeline" aria-busy={fetching !== null}>
        {entries.map((entry) => (
          <li key={entry.tweetId}>
            <TweetCard id={entry.tweetId} retweetedBy={entry.retweetedBy} />
          </li>
        ))}
      </ol>
      {error && !timeline.hasNextPage ? (
        <p className="problem" role="alert">
          {inWords(error)}{' '}
          <button className="button button-plain" onClick={home.tryAgain}>
            Try again
          </button>
        </p>
      ) : entries.length || fetching || timeline.hasNextPage ? (
        <More
          hasMore={timeline.hasNextPage}
          busy={fetching !== null}
          error={error}
          onMore={error ? home.tryAgain : home.older}
        />
      ) : (
        <p className="empty">Nothing here yet. Follow somebody: Top and Search show whom.</p>
      )}
    </>
  );
}

/** Says how many wait, to eyes and to screen readers, and shows them when asked. */
function NewTweets({ count, onShow }: { count: number; onShow: () => void }) {
  const show = () => {
    onShow();
    window.scrollTo({ top: 0 });
  };
  return (
    <div className="new-tweets" role="status">
      {count > 0 && (
        <button type="button" className="button new-tweets-button" onClick={show}>
          <UpIcon /> {count} new {count === 1 ? 'tweet' : 'tweets'}
        </button>
      )}
    </div>
  );
}
