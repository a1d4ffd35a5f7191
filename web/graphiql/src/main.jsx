// The page: GraphiQL with Perch's fetcher, runnable examples, and a line that says who is signed in.
import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import '@graphiql/plugin-explorer/style.css';
import './style.css';

import { explorerPlugin } from '@graphiql/plugin-explorer';
import { HISTORY_PLUGIN } from '@graphiql/plugin-history';
import { GraphiQL } from 'graphiql';
import { useSyncExternalStore } from 'react';
import { createRoot } from 'react-dom/client';

import { EXAMPLES } from './examples.js';
import { fetcher, logOut } from './fetcher.js';
import { onChange, session } from './session.js';

// Made once: a new list or fetcher on each render would make GraphiQL ask for the schema again.
const PLUGINS = [HISTORY_PLUGIN, explorerPlugin()];

function SessionLine() {
  const signedIn = useSyncExternalStore(onChange, session);
  return (
    <div className="perch-session" role="status">
      {signedIn ? <SignedIn username={signedIn.username} /> : 'Not signed in. Run LogIn, or name a token in Headers.'}
    </div>
  );
}

function SignedIn({ username }) {
  return (
    <>
      Signed in{username && ' as '}
      {username && <strong>{username}</strong>} ·{' '}
      <button type="button" onClick={logOut}>
        log out
      </button>
    </>
  );
}

createRoot(document.getElementById('root')).render(
  <GraphiQL fetcher={fetcher} defaultTabs={EXAMPLES} plugins={PLUGINS}>
    <GraphiQL.Logo>Perch</GraphiQL.Logo>
    <GraphiQL.Footer>
      <SessionLine />
    </GraphiQL.Footer>
  </GraphiQL>,
);
