// The tabs a new visitor finds: each runs as it is, in this order. GraphiQL names a tab after its operation.

// The account that `make run` and the tests create.
const DEMO = { username: 'demo', password: 'perch-demo-2006' };

// Lines stay within 44 characters, which a window of 1280 pixels shows without scrolling.

const LOG_IN = `# 1. Log in: press play, or Ctrl+Enter.
# There is nothing to copy: this page keeps
# the token and sends it with whatever you
# run next, as the line below the response
# says. A token named in Headers goes first.
mutation LogIn {
  logIn(
    input: {
      usernameOrEmail: "${DEMO.username}"
      password: "${DEMO.password}"
    }
  ) {
    viewer {
      user {
        username
        displayName
      }
    }
    tokens {
      accessToken
      accessTokenExpiresAt
      refreshToken
    }
    errors {
      code
      message
    }
  }
}
`;

const POST = `# 2. Post. A refusal that a form can show
# comes back as data, in errors; any other
# is a top-level error.
mutation Post {
  postTweet(
    input: { text: "Hello from GraphiQL" }
  ) {
    tweet {
      id
      text
      createdAt
    }
    errors {
      code
      message
    }
  }
}
`;

const HOME_TIMELINE = `# 3. Read. The next page: after endCursor.
# What comes from now on: give liveCursor to
# homeTimelineEvents(after:), and nothing is
# lost between the page and the socket.
query HomeTimeline {
  homeTimeline(first: 10) {
    liveCursor
    pageInfo {
      hasNextPage
      endCursor
    }
    edges {
      source
      retweetedBy {
        username
      }
      node {
        text
        createdAt
        likeCount
        author {
          username
          displayName
        }
      }
    }
  }
}
`;

const LIVE = `# 4. Follow it live. Leave this running, open
# this page in another window, run LogIn and
# Post there: the tweet appears here.
subscription Live {
  homeTimelineEvents {
    __typename
    ... on TimelineTweetAdded {
      cursor
      edge {
        cursor
        source
        node {
          text
          author {
            username
          }
        }
      }
    }
    ... on TimelineTweetRemoved {
      cursor
      edgeCursor
      tweetId
    }
    ... on TimelineResync {
      cursor
      reason
    }
  }
}
`;

const RESUME = `# 5. Go on where you were: stop Live, run
# Post, then this, and the tweet comes at
# once. With no $after in Variables this page
# sends the last cursor that it saw: an
# event's, or the liveCursor of a page.
subscription Resume($after: String) {
  homeTimelineEvents(after: $after) {
    __typename
    ... on TimelineTweetAdded {
      cursor
      edge {
        cursor
        node {
          text
          author {
            username
          }
        }
      }
    }
    ... on TimelineTweetRemoved {
      cursor
      edgeCursor
    }
    ... on TimelineResync {
      cursor
      reason
    }
  }
}
`;

export const EXAMPLES = [LOG_IN, POST, HOME_TIMELINE, LIVE, RESUME].map((query) => ({ query }));
