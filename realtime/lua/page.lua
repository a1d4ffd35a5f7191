-- One page of a kept timeline, newest first, and the position in the live stream at the same moment.
-- KEYS: tl, on, ev, and for a reader's own timeline the mark of who has just changed something. ARGV: before (an id;
-- '': no end), count, live (0/1), fresh token, presence_ms, inactive_ms.
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
local entries, count, from = {}, tonumber(ARGV[2]), 0
if ARGV[1] ~= '' then
  -- What a cursor names is there, unless it was deleted.
  local at = redis.call('LPOS', tl, ARGV[1])
  from = at and at + 1 or select(2, place(tl, tonumber(ARGV[1])))
end
if count > 0 then entries = redis.call('LRANGE', tl, from, from + count - 1) end
if entries[#entries] == 'floor:' .. floor then entries[#entries] = nil end
return { 'served', floor, token, entries, KEYS[4] and redis.call('EXISTS', KEYS[4]) or 0 }
