// What one does to a tweet or a person: shown as done at once, taken back if it was refused, and then said why.
import type { OperationVariables, TypedDocumentNode } from '@apollo/client';
import { useLocation } from 'wouter';

import * as operations from '../generated';
import { forgetTweet } from '../live/current';
import { client } from '../net/client';
import { inWords } from '../net/words';
import { usePerson } from '../session/useSession';
import { tell } from './notices';

type Tweet = operations.TweetPartsFragment;
type User = operations.UserPartsFragment;
type Payload = { errors: readonly operations.RefusalFragment[] };
type TweetVerb = 'likeTweet' | 'unlikeTweet' | 'retweet' | 'undoRetweet';
type UserVerb = 'followUser' | 'unfollowUser' | 'blockUser' | 'unblockUser' | 'muteUser' | 'unmuteUser';
// eslint-disable-next-line
type Mutation = TypedDocumentNode<any, { id: string }>;

const MUTATIONS: Record<TweetVerb | UserVerb, Mutation> = {
  likeTweet: operations.LikeTweetDocument,
  unlikeTweet: operations.UnlikeTweetDocument,
  retweet: operations.RetweetDocument,
  undoRetweet: operations.UndoRetweetDocument,
  followUser: operations.FollowUserDocument,
  unfollowUser: operations.UnfollowUserDocument,
  blockUser: operations.BlockUserDocument,
  unblockUser: operations.UnblockUserDocument,
  muteUser: operations.MuteUserDocument,
  unmuteUser: operations.UnmuteUserDocument,
};

/** Does something, if somebody is signed in; else leads to where one signs in. */
export function useVerbs() {
  const signedIn = usePerson() !== null;
  const [, navigate] = useLocation();
  const ifSignedIn = (act: () => Promise<boolean>) =>
    signedIn ? act() : (navigate('/log-in'), Promise.resolve(false));
  return {
    toTweet: (verb: TweetVerb, tweet: Tweet, hoped: Partial<Tweet>) => ifSignedIn(() => toTweet(verb, tweet, hoped)),
    toUser: (verb: UserVerb, user: User, hoped: Partial<User>) => ifSignedIn(() => toUser(verb, user, hoped)),
    deleteTweet: (id: string) => ifSignedIn(() => deleteTweet(id)),
  };
}

async function toTweet(verb: TweetVerb, tweet: Tweet, hoped: Partial<Tweet>): Promise<boolean> {
  const { id, likeCount, retweetCount, viewerHasLiked, viewerHasRetweeted } = tweet;
  const counted = { __typename: 'Tweet', id, likeCount, retweetCount, viewerHasLiked, viewerHasRetweeted, ...hoped };
  const refused = await run(MUTATIONS[verb], id, {
    [verb]: { __typename: 'TweetPayload', tweet: counted, errors: [] },
  });
  if (refused) tell(refused.message);
  if (refused?.code === 'NOT_FOUND') forgetTweet(id);
  return !refused;
}

async function toUser(verb: UserVerb, user: User, hoped: Partial<User>): Promise<boolean> {
  const { id, followerCount, viewerIsFollowing, viewerHasBlocked, viewerHasMuted } = user;
  const regarded = {
    __typename: 'User',
    id,
    followerCount,
    viewerIsFollowing,
    viewerHasBlocked,
    viewerHasMuted,
    ...hoped,
  };
  const refused = await run(MUTATIONS[verb], id, { [verb]: { __typename: 'UserPayload', user: regarded, errors: [] } });
  if (refused) tell(refused.message);
  return !refused;
}

async function deleteTweet(id: string): Promise<boolean> {
  const refused = await run(operations.DeleteTweetDocument, id);
  // Gone already: that is what was wanted, be it by the try whose answer was lost.
  const gone = !refused || refused.code === 'NOT_FOUND';
  if (gone) forgetTweet(id);
  else tell(refused.message);
  return gone;
}

type Refused = { message: string; code: string };

/** Null when it was done, else why not. A verb does no harm twice, so it is asked again. */
async function run(mutation: Mutation, id: string, optimisticResponse?: OperationVariables): Promise<Refused | null> {
  try {
    const options = { mutation, variables: { id }, context: { turn: id } };
    const { data } = await client.mutate({ ...options, ...(optimisticResponse && { optimisticResponse }) });
    const [refusal] = Object.values(data as Record<string, Payload>)[0]!.errors;
    return refusal ?? null;
  } catch (error) {
    return { message: inWords(error), code: 'UNANSWERED' };
  }
}
