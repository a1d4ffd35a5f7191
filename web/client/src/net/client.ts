// Apollo's client: one copy of each tweet and person, whichever list it came with.
import { ApolloClient, InMemoryCache } from '@apollo/client';
import { relayStylePagination } from '@apollo/client/utilities';

import { link } from './links';

const cache = new InMemoryCache({
  possibleTypes: { UserError: ['FieldError', 'TextTooLong'], Node: ['Tweet', 'User'] },
  typePolicies: {
    Query: {
      fields: {
        // The pages of the home timeline are kept in live/, where events are applied to them.
        homeTimeline: { keyArgs: false, merge: false },
        topTweets: relayStylePagination(['window']),
        searchTweets: relayStylePagination(['query', 'scope']),
        searchUsers: relayStylePagination(['query']),
        tweet: {
          // What a list has brought is shown at once; null is an answer too: it is gone.
          read: (found, { args, toReference }) =>
            found === undefined ? toReference({ __typename: 'Tweet', id: args?.['id'] }) : found,
        },
      },
    },
    Tweet: { fields: { replies: relayStylePagination() } },
    User: {
      fields: {
        tweets: relayStylePagination(['filter']),
        likes: relayStylePagination(),
        followers: relayStylePagination(),
        following: relayStylePagination(),
      },
    },
  },
});

export const client = new ApolloClient({ cache, link });
