// live.mjs, in an empty folder: npm install graphql graphql-ws && node live.mjs   (Node 22 or later)
import { createClient } from 'graphql-ws';

const url = 'http://127.0.0.1:58583/graphql', authorization = `Bearer ${process.env.TOKEN}`;
const PAGE = `query { homeTimeline { liveCursor edges { cursor node { text author { username } } } } }`;
const LIVE = `subscription ($after: String) { homeTimelineEvents(after: $after) { __typename
  ... on TimelineTweetAdded { cursor edge { cursor node { text author { username } } } }
  ... on TimelineTweetRemoved { cursor edgeCursor }
  ... on TimelineResync { cursor reason } } }`;
const timeline = new Map(); // edge.cursor -> edge

async function fetchPage() {
  const headers = { 'content-type': 'application/json', authorization };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query: PAGE }) });
  const page = (await response.json()).data.homeTimeline;
  timeline.clear();
  for (const edge of page.edges) timeline.set(edge.cursor, edge);
  return page.liveCursor;
}

for (let after = await fetchPage(); ; ) {
  const client = createClient({ url: url.replace('http', 'ws'), connectionParams: { authorization }, retryAttempts: 0 });
  try {
    for await (const { data } of client.iterate({ query: LIVE, variables: { after } })) {
      const event = data.homeTimelineEvents;
      if (event.edge) timeline.set(event.edge.cursor, event.edge);
      else if (event.edgeCursor) timeline.delete(event.edgeCursor);
      else await fetchPage(); // a resync; later events wait in the iterator meanwhile
      after = event.cursor;
      console.log(event.__typename, event.edge?.node.text ?? event.reason ?? event.edgeCursor);
    }
  } catch { await new Promise((again) => setTimeout(again, 500)); } // then go on behind `after`
}
