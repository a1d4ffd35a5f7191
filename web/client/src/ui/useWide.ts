// Whether there is room beside the page; the same bound as in styles/layout.css.
import { useSyncExternalStore } from 'react';

const wide = window.matchMedia('(min-width: 68rem)');

export function useWide(): boolean {
  return useSyncExternalStore(
    (listener) => {
      wide.addEventListener('change', listener);
      return () => wide.removeEventListener('change', listener);
    },
    () => wide.matches,
  );
}
