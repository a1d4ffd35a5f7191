-- Fan-out: add or remove entries in many timelines, and number each change for readers who are present.
-- KEYS[1]: any key of the bucket (routing only). ARGV: nonce, kept, trim_at, events_kept, ttl_ms,
-- then runs of operations, in order: op, entry, tweet, how many readers, and each reader's tail (realtime/keys.py).
--   '+' push: only into timelines that are kept. '-' unpush. 'f' the reader's follows changed.
-- Idempotent: an entry that is there already is neither added nor numbered.
local nonce, kept, trim_at, events_kept, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local numbered = 0
local i = 6
while i <= #ARGV do
  local op, entry, tweet, last = ARGV[i], ARGV[i + 1], ARGV[i + 2], i + 3 + tonumber(ARGV[i + 3])
  for at = i + 4, last do
    local tl, on, ev, channel = names(ARGV[at])
    local name, floor = sentinel(tl)
    local payload = nil
    if not name then
      redis.call('DEL', on)
    elseif op == 'f' then
      payload = 's:FOLLOWS_CHANGED'
    elseif op == '-' then
      redis.call('ZREM', tl, entry)
      payload = '-:' .. entry .. ':' .. tweet
    elseif tonumber(entry) <= tonumber(floor) then
      payload = 's:WINDOW_EXCEEDED'
    elseif redis.call('ZADD', tl, entry, entry) == 1 then
      payload = '+:' .. entry
      if redis.call('ZCARD', tl) > trim_at + 1 then trim(tl, name, kept) end
    end
    if payload then
      local done, count = pcall(number, on, ev, channel, nonce .. '.' .. at, payload, events_kept, ttl)
      if not done then
        -- A cluster is moving this slot key by key. The call comes again, and must find the entry new again.
        if op == '+' then redis.call('ZREM', tl, entry) end
        error(count)
      end
      numbered = numbered + count
    end
  end
  i = last + 1
end
return numbered
