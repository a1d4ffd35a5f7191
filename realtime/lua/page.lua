-- One page of a kept timeline, newest first, and the position in the live stream at the same moment.
-- KEYS: tl, on, ev, and for a reader's own timeline the mark of who has just changed something. ARGV: before ('(' and an id, or '+inf'), count, live (0/1), fresh token, presence_ms, inactive_ms.
-- Gives {state, floor, token, entries, marked (0/1)}; state is 'missing', 'building' or 'served'.
local tl, on, ev = KEYS[1], KEYS[2], KEYS[3]
local name, floor = sentinel(tl)
if not name then return { 'missing' } end
if name ~= 'floor' then return { 'building' } end
redis.call('PEXPIRE', tl, ARGV[6])
local token = ''
if ARGV[3] == '1' then
  token = redis.call('HGET', on, 'last')
  if not token then
    token = ARGV[4]
    redis.call('DEL', ev)
    redis.call('HSET', on, 'last', token)
  end
  redis.call('PEXPIRE', on, ARGV[5])
end
local entries = redis.call('ZRANGE', tl, ARGV[1], '(' .. floor, 'BYSCORE', 'REV', 'LIMIT', 0, ARGV[2])
return { 'served', floor, token, entries, KEYS[4] and redis.call('EXISTS', KEYS[4]) or 0 }
