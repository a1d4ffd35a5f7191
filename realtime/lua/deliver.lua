-- Fan-out: add or remove entries in many timelines, and number each change for readers who are present.
-- KEYS[1]: any key of the bucket (routing only). ARGV: nonce, kept, trim_at, events_kept, ttl_ms,
-- then five for each operation, in order: op, tag, reader, entry, tweet.
--   '+' push: only into timelines that are kept. '-' unpush. 'f' the reader's follows changed.
-- Idempotent: an entry that is there already is neither added nor numbered.
local nonce, kept, trim_at, events_kept, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local numbered = 0
for i = 6, #ARGV, 5 do
  local op, tag, reader, entry, tweet = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local tl, on, ev, channel = names(tag, reader)
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
    numbered = numbered + number(on, ev, channel, nonce .. '.' .. i, payload, events_kept, ttl)
  end
end
return numbered
