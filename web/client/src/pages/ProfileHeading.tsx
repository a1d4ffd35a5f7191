// The upper part of a profile: name, words, numbers, and how one stands to them.
import { useState } from 'react';

import type { UserPartsFragment } from '../generated';
import { usePerson } from '../session/useSession';
import { monthOf } from '../text/time';
import { Avatar } from '../ui/Avatar';
import { FollowButton } from '../ui/FollowButton';
import { useVerbs } from '../ui/verbs';
import { EditProfile } from './EditProfile';

export function ProfileHeading({ user }: { user: UserPartsFragment }) {
  const mine = usePerson()?.id === user.id;
  const [editing, setEditing] = useState(false);
  return (
    <section className="profile" aria-label="Profile">
      <div className="profile-row">
        <Avatar person={user} large />
        <div className="profile-buttons">
          {mine ? (
            <button
              type="button"
              className="button button-plain"
              aria-expanded={editing}
              onClick={() => setEditing(!editing)}
            >
              Edit profile
            </button>
          ) : (
            <Regards user={user} />
          )}
        </div>
      </div>
      <h1 dir="auto">{user.displayName}</h1>
      <p className="quiet">
        @{user.username} {user.isFollowingViewer && <span className="tag">follows you</span>}
      </p>
      {editing ? (
        <EditProfile user={user} onDone={() => setEditing(false)} />
      ) : (
        user.bio && <p dir="auto">{user.bio}</p>
      )}
      <p className="numbers">
        <Number count={user.tweetCount} one="tweet" many="tweets" />
        <Number count={user.followingCount} one="following" many="following" />
        <Number count={user.followerCount} one="follower" many="followers" />
        <span className="quiet">since {monthOf(user.createdAt)}</span>
      </p>
    </section>
  );
}

function Number({ count, one, many }: { count: number; one: string; many: string }) {
  return (
    <span>
      <strong>{count.toLocaleString()}</strong> <span className="quiet">{count === 1 ? one : many}</span>
    </span>
  );
}

/** Follow, mute and block. A block ends the follow for good. */
function Regards({ user }: { user: UserPartsFragment }) {
  const verbs = useVerbs();
  const { viewerHasBlocked: blocked, viewerHasMuted: muted, viewerIsFollowing: following } = user;
  const mute = () => verbs.toUser(muted ? 'unmuteUser' : 'muteUser', user, { viewerHasMuted: !muted });
  const block = () =>
    verbs.toUser(blocked ? 'unblockUser' : 'blockUser', user, {
      viewerHasBlocked: !blocked,
      viewerIsFollowing: false,
      followerCount: user.followerCount - (following ? 1 : 0),
    });
  return (
    <>
      <button type="button" className="button button-quiet" aria-pressed={muted} onClick={() => void mute()}>
        {muted ? 'Muted' : 'Mute'}
      </button>
      <button type="button" className="button button-quiet" aria-pressed={blocked} onClick={() => void block()}>
        {blocked ? 'Blocked' : 'Block'}
      </button>
      <FollowButton user={user} />
    </>
  );
}
