// Who is signed in, for components.
import { useSyncExternalStore } from 'react';

import { onSession, type Person, session } from './session';

/** Null for nobody. */
export function usePerson(): Person | null {
  return useSyncExternalStore(onSession, () => session())?.person ?? null;
}
