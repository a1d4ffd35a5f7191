// A person in a list, with the one thing that one mostly wants to do there.
import { Link } from 'wouter';

import type { UserPartsFragment } from '../generated';
import { Avatar } from './Avatar';
import { FollowButton } from './FollowButton';
import { paths } from './paths';

export function UserCard({ user }: { user: UserPartsFragment }) {
  return (
    <article className="user-card" aria-label={user.displayName}>
      <Avatar person={user} />
      <div className="user-card-body">
        <p>
          <Link className="tweet-author" href={paths.user(user.username)}>
            <strong dir="auto">{user.displayName}</strong> <span className="quiet">@{user.username}</span>
          </Link>
        </p>
        {user.bio && <p dir="auto">{user.bio}</p>}
      </div>
      <FollowButton user={user} />
    </article>
  );
}
