// The end of a list: fetches the next page when it comes near, and has a button for those who do not scroll.
import { useEffect, useRef } from 'react';

import { inWords } from '../net/words';

interface Props {
  hasMore: boolean;
  busy: boolean;
  error?: unknown;
  onMore: () => void;
}

// A screen ahead, so that who scrolls seldom waits.
const AHEAD = '800px';

export function More({ hasMore, busy, error, onMore }: Props) {
  const end = useRef<HTMLDivElement>(null);
  const latest = useRef(onMore);
  latest.current = onMore;
  const waits = hasMore && !busy && !error;
  useEffect(() => {
    if (!waits || !end.current) return;
    const observer = new IntersectionObserver((found) => found.some((one) => one.isIntersecting) && latest.current(), {
      rootMargin: AHEAD,
    });
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [waits]);
  return (
    <div className="more" ref={end}>
      {Boolean(error) && (
        <p className="problem" role="alert">
          {inWords(error)}
        </p>
      )}
      {hasMore && (
        <button type="button" className="button button-plain" disabled={busy} onClick={onMore}>
          {busy ? 'Fetching' : error ? 'Try again' : 'Older ones'}
        </button>
      )}
      {!hasMore && busy && <p className="quiet">Fetching</p>}
    </div>
  );
}
