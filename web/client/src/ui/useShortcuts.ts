// Keys: j and k go from tweet to tweet, n to where one writes. None of them while somebody types.
import { useEffect } from 'react';
import { useLocation } from 'wouter';

import { paths } from './paths';

export function useShortcuts(): void {
  const [, navigate] = useLocation();
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (event.key === 'j') step(1);
      else if (event.key === 'k') step(-1);
      else if (event.key === 'n') {
        event.preventDefault();
        navigate(paths.home);
        requestAnimationFrame(() => document.querySelector<HTMLElement>('.composer textarea')?.focus());
      }
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [navigate]);
}

function step(by: 1 | -1): void {
  const tweets = [...document.querySelectorAll<HTMLElement>('[data-tweet]')];
  const at = tweets.findIndex((tweet) => tweet.contains(document.activeElement));
  const next = tweets[at < 0 ? (by > 0 ? 0 : tweets.length - 1) : at + by];
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: 'center' });
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('input, textarea, select, dialog') !== null;
}
