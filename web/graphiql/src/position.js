// Where a reader of the home timeline stands: the last live cursor that any result brought. Never sends a request.
import { onChange, session } from './session.js';

let current = null;

// Another account's position would only bring a resync.
onChange(() => session() || (current = null));

/** Remembers the liveCursor of a page, or the cursor of an event, where a result has one. */
export function notePosition(result) {
  const { homeTimeline, homeTimelineEvents } = result?.data ?? {};
  current = homeTimelineEvents?.cursor ?? homeTimeline?.liveCursor ?? current;
}

/** The variables, with the position as `after` where the operation asks for one and none is given. */
export function withPosition(operation, variables) {
  const asks = operation?.variableDefinitions?.some(({ variable }) => variable.name.value === 'after');
  return asks && current && variables?.after == null ? { ...variables, after: current } : variables;
}
