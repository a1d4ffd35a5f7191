// The one home timeline of who is signed in: begun with the session and ended with it, whatever page is shown.
import { useSyncExternalStore } from 'react';

import { client } from '../net/client';
import { onSession, session } from '../session/session';
import { type Home, HomeTimeline } from './home';

let current: { personId: string; home: HomeTimeline } | null = null;

onSession(() => void change());

/** Null for nobody. */
export function currentHome(): HomeTimeline | null {
  const personId = session()?.person.id;
  if (personId && current?.personId !== personId) begin(personId);
  return personId ? current!.home : null;
}

/** What it shows now, for a component of somebody who is signed in. */
export function useHome(home: HomeTimeline): Home {
  return useSyncExternalStore(home.subscribe, home.current);
}

/** Leaves a tweet that is gone out of every list. */
export function forgetTweet(id: string): void {
  current?.home.forget(id);
  client.cache.evict({ id: client.cache.identify({ __typename: 'Tweet', id })! });
}

function begin(personId: string): void {
  current?.home.stop();
  current = { personId, home: new HomeTimeline() };
  void current.home.start();
}

/** Another account, or none: nothing of what the one before saw stays. */
async function change(): Promise<void> {
  const personId = session()?.person.id ?? null;
  if (personId === (current?.personId ?? null)) return;
  current?.home.stop();
  current = null;
  await client.resetStore().catch(() => {});
}
