// Follow and unfollow, by one button that says which it is.
import type { UserPartsFragment } from '../generated';
import { usePerson } from '../session/useSession';
import { useVerbs } from './verbs';

/** Nothing for oneself, and for whom one blocks. */
export function FollowButton({ user }: { user: UserPartsFragment }) {
  const verbs = useVerbs();
  const person = usePerson();
  const { viewerIsFollowing: following, followerCount, displayName } = user;
  if (person?.id === user.id || user.viewerHasBlocked) return null;
  const act = () =>
    verbs.toUser(following ? 'unfollowUser' : 'followUser', user, {
      viewerIsFollowing: !following,
      followerCount: followerCount + (following ? -1 : 1),
    });
  return (
    <button
      type="button"
      className={following ? 'button button-plain' : 'button'}
      aria-pressed={following}
      aria-label={`Follow ${displayName}`}
      onClick={() => void act()}
    >
      {following ? 'Following' : 'Follow'}
    </button>
  );
}
